#ifndef OPENMMSCORE_MODELS_ERROR_H_
#define OPENMMSCORE_MODELS_ERROR_H_

#include <stdexcept>
#include <string>

namespace OpenMMScore {

/**
 * The root of everything that models and sampling throw. openmmapi turns each into an
 * OpenMM::OpenMMException with the same sentence.
 *
 * A message names the object, what was expected, what was found and, where there is one, the remedy.
 */
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/** A model file is missing, damaged, of an unknown kind or at odds with itself. */
class ModelFileError : public Error {
public:
    using Error::Error;
};

/** An argument has the wrong shape, or lies outside the range that the model covers. */
class ShapeError : public Error {
public:
    using Error::Error;
};

/** A computation gave a number that is not finite. */
class NumericalError : public Error {
public:
    using Error::Error;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_ERROR_H_
