#ifndef OPENMMSCORE_PYTHON_MODELHANDLE_H_
#define OPENMMSCORE_PYTHON_MODELHANDLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "openmmscore/models/ScoreModel.h"

namespace OpenMMScore {

class ScoreForce;

/**
 * What openmmscore.Model holds of C++: a model, and where it came from. Arrays arrive as addresses, because
 * the stable ABI of Python 3.10 has no buffers; model.py is the only caller, and checks them first.
 */
class ModelHandle {
public:
    /** @param path  absolute path of a model file */
    explicit ModelHandle(const std::string& path);
    /** The model of a Force, shared with it. */
    explicit ModelHandle(const ScoreForce& force);
    /** @return a new object for a model file in memory */
    static ModelHandle* fromBytes(const std::vector<std::uint8_t>& bytes, const std::string& origin);

    const std::shared_ptr<const ScoreModel>& getModel() const { return model; }
    /** @return the path; empty for a model that came from memory */
    const std::string& getPath() const { return path; }
    /** @return what messages call the file */
    const std::string& getOrigin() const { return model->getFile().getOrigin(); }
    /** @return the file's JSON document, with every default filled in */
    std::string getDocument() const { return model->getDescription().toJson(); }
    std::string getSha256() const { return model->getFile().computeSha256(); }
    std::span<const std::uint8_t> getBytes() const { return model->getFile().getBytes(); }
    /** @return how many numbers all tensors hold together */
    std::size_t getNumParameters() const;
    int getNumParticles() const { return model->getDescription().getNumParticles(); }
    double getLowerTime() const { return model->getDescription().getLowerTime(); }
    double getUpperTime() const { return model->getDescription().getUpperTime(); }
    bool hasEnergy(double t) const { return model->hasEnergy(t); }
    /**
     * Evaluate a batch, see ScoreModel::evaluate().
     *
     * @param z         shape [batch, coordinates]
     * @param t         shape [numTimes]: 1 or batch
     * @param features  shape [numFeatures]: all integers of the batch together
     * @param energies  shape [batch], or null
     * @param scores    shape [batch, coordinates], or null
     */
    void evaluate(int batch, const double* z, int numTimes, const double* t, int numFeatures,
                  const int* features, double* energies, double* scores) const;

private:
    ModelHandle(std::shared_ptr<const ScoreModel> loaded, std::string origin);

    std::shared_ptr<const ScoreModel> model;
    std::string path;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_PYTHON_MODELHANDLE_H_
