#include "ModelHandle.h"

#include <utility>

#include "openmmscore/ScoreForce.h"

namespace OpenMMScore {

ModelHandle::ModelHandle(const std::string& path) : model(ScoreModel::load(path)), path(path) {}

ModelHandle::ModelHandle(const ScoreForce& force)
    : model(force.getSharedModel()), path(force.getModelFile()) {}

ModelHandle::ModelHandle(std::shared_ptr<const ScoreModel> loaded, std::string origin)
    : model(std::move(loaded)), path(std::move(origin)) {}

ModelHandle* ModelHandle::fromBytes(const std::vector<std::uint8_t>& bytes, const std::string& origin) {
    return new ModelHandle(ScoreModel::fromBytes(bytes, origin), "");
}

std::size_t ModelHandle::getNumParameters() const {
    std::size_t sum = 0;
    for (const auto& [name, tensor] : model->getFile().getTensors())
        sum += tensor.getNumElements();
    return sum;
}

void ModelHandle::evaluate(int batch, const double* z, int numTimes, const double* t, int numFeatures,
                           const int* features, double* energies, double* scores) const {
    const std::size_t width = model->getDescription().getNumCoordinates();
    model->evaluate(batch, {z, batch * width}, {t, static_cast<std::size_t>(numTimes)},
                    {features, static_cast<std::size_t>(numFeatures)}, energies, scores);
}

} // namespace OpenMMScore
