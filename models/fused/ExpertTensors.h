#ifndef OPENMMSCORE_FUSED_EXPERTTENSORS_H_
#define OPENMMSCORE_FUSED_EXPERTTENSORS_H_

#include <map>
#include <string>
#include <vector>

#include "Matrix.h"
#include "openmmscore/models/ModelDescription.h"

namespace OpenMMScore {

/** The tensors of one expert by the names of docs/model-format.md, without their "experts.<index>.". */
class ExpertTensors {
public:
    /** @param values  in the order of expertTensors(); must outlive this object */
    ExpertTensors(const ModelDescription& model, int index, const std::vector<std::vector<double>>& values) {
        const std::string prefix = "experts." + std::to_string(index) + ".";
        std::size_t next = 0;
        for (const TensorShape& tensor : expertTensors(model, index))
            entries[tensor.name.substr(prefix.size())] = {tensor.shape, &values[next++]};
    }
    const std::vector<double>& vector(const std::string& name) const { return *entries.at(name).values; }
    Matrix matrix(const std::string& name) const {
        const Entry& entry = entries.at(name);
        return Matrix(static_cast<int>(entry.shape[0]), static_cast<int>(entry.shape[1]), *entry.values);
    }

private:
    struct Entry {
        std::vector<std::int64_t> shape;
        const std::vector<double>* values;
    };
    std::map<std::string, Entry> entries;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_EXPERTTENSORS_H_
