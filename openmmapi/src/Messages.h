#ifndef OPENMMSCORE_SRC_MESSAGES_H_
#define OPENMMSCORE_SRC_MESSAGES_H_

#include <sstream>
#include <string>

#include <openmm/OpenMMException.h>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

/** @return the arguments, one after the other, as text; numbers with up to 10 digits */
template <typename... Arguments>
std::string joinText(const Arguments&... arguments) {
    std::ostringstream text;
    text.precision(10);
    (text << ... << arguments);
    return text.str();
}

/** @return what action returns; an Error on the way becomes an OpenMMException with the same sentence */
template <typename Action>
auto translateErrors(const Action& action) {
    try {
        return action();
    }
    catch (const Error& error) {
        throw OpenMM::OpenMMException(error.what());
    }
}

} // namespace OpenMMScore

#endif // OPENMMSCORE_SRC_MESSAGES_H_
