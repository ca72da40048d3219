#include "DataConfigReader.h"

#include <algorithm>

namespace OpenMMScore {

namespace {

/** Keys that describe what `openmmscore train` prepares. */
constexpr const char* trajectoryKeys[] = {"trajectory", "topology", "selection", "stride"};
constexpr const char* weightKeys[] = {"weights", "log_weights", "bias_energy"};

[[noreturn]] void askForPreparation(const ConfigTable& table, const std::string& key,
                                    const std::string& file) {
    table.fail(key, "is read by: openmmscore train " + file +
                        " (openmmscore-train itself takes arrays of frames, data.file)");
}

/** @return the key under which weights are given, -1 for none */
int findWeights(ConfigTable& table) {
    int found = -1;
    for (int k = 0; k < 3; k++) {
        if (!table.has(weightKeys[k]))
            continue;
        if (found >= 0)
            table.fail(weightKeys[k], std::string("stands beside ") + weightKeys[found] +
                                          "; weights can be given in one way only");
        found = k;
    }
    return found;
}

/** Read file and weights, which both the table [data] and the tables [[molecules]] may hold. */
MoleculeData readFrames(ConfigTable& table, const std::string& config) {
    for (const char* key : trajectoryKeys)
        if (table.has(key))
            askForPreparation(table, key, config);
    MoleculeData molecule;
    molecule.file = table.file("file");
    if (molecule.file.ends_with(".npz"))
        askForPreparation(table, "file", config);
    for (const char* key : weightKeys)
        table.text(key, "");
    const int kind = findWeights(table);
    if (kind >= 0) {
        molecule.weightsFile = table.file(weightKeys[kind]);
        if (molecule.weightsFile.find(".npz") != std::string::npos)
            askForPreparation(table, weightKeys[kind], config);
        molecule.weights = static_cast<MoleculeData::Weights>(kind);
    }
    return molecule;
}

std::vector<std::int64_t> readFeatureRows(ConfigTable& table, const ModelDescription& model) {
    const auto numFeatures = model.features.size();
    std::vector<std::int64_t> result;
    for (const std::vector<std::int64_t>& row : table.integerRows("features", 0)) {
        if (row.size() != numFeatures)
            table.fail("features", "must have one row for each particle with " + std::to_string(numFeatures) +
                                       " integers, one for each of the tables [[features]]; a row has " +
                                       std::to_string(row.size()));
        for (std::size_t k = 0; k < numFeatures; k++)
            if (row[k] >= model.features[k].numValues)
                table.fail("features", "holds " + std::to_string(row[k]) + " for feature " +
                                           model.features[k].name + ", whose values are 0 ... " +
                                           std::to_string(model.features[k].numValues - 1));
        result.insert(result.end(), row.begin(), row.end());
    }
    return result;
}

void readMolecules(std::vector<ConfigTable> tables, const std::string& file, const ModelDescription& model,
                   DataConfig& data) {
    for (ConfigTable& table : tables) {
        const std::string name = table.text("name", "");
        if (table.has("sequence"))
            askForPreparation(table, "sequence", file);
        MoleculeData molecule = readFrames(table, file);
        molecule.name = name.empty() ? "molecule " + std::to_string(data.molecules.size()) : name;
        molecule.features = readFeatureRows(table, model);
        table.finish();
        data.molecules.push_back(molecule);
    }
}

void readFeatures(ConfigTable& root, ModelDescription& model) {
    for (ConfigTable& table : root.tables("features")) {
        FeatureDescription feature;
        feature.name = table.text("name");
        feature.numValues = static_cast<int>(table.integer("num_values", 1));
        table.finish();
        model.features.push_back(feature);
    }
}

void readParticles(ConfigTable& root, ModelDescription& model) {
    for (ConfigTable& table : root.tables("particles")) {
        ParticleDescription particle;
        particle.name = table.text("name");
        particle.element = table.text("element", "");
        particle.mass = positive(table, "mass");
        particle.residue = table.text("residue", "UNK");
        particle.residueIndex = static_cast<int>(table.integer("residue_index", 0, 0));
        table.finish();
        model.particles.push_back(particle);
    }
    for (const std::vector<std::int64_t>& bond : root.integerRows("bonds", 0)) {
        const auto count = static_cast<std::int64_t>(model.particles.size());
        if (count == 0)
            root.fail("bonds", "are pairs of particles, but there are no tables [[particles]]");
        if (bond.size() != 2 || bond[0] == bond[1] || bond[0] >= count || bond[1] >= count)
            root.fail("bonds", "must be pairs of different particles, counted from 0 to " +
                                   std::to_string(count - 1) + " like the tables [[particles]]");
        model.bonds.emplace_back(static_cast<int>(bond[0]), static_cast<int>(bond[1]));
    }
}

/** Everything but the temperature and the split. */
void readSources(ConfigTable& root, ConfigTable& table, const std::string& file, TrainingConfig& config) {
    DataConfig& data = config.data;
    readFeatures(root, config.model);
    std::vector<ConfigTable> molecules = root.tables("molecules");
    data.unit = table.choice("unit", {"nm", "angstrom"}, 0) == 0 ? 1.0 : 0.1;
    data.atoms = table.integers("atoms", 0);
    if (data.atoms.empty() && table.has("atoms"))
        table.fail("atoms", "is empty; leave it out to take all");
    for (auto atom = data.atoms.begin(); atom != data.atoms.end(); ++atom)
        if (std::find(data.atoms.begin(), atom, *atom) != atom)
            table.fail("atoms", "names index " + std::to_string(*atom) + " twice");
    if (molecules.empty())
        data.molecules = {readFrames(table, file)};
    else if (table.has("file"))
        table.fail("file", "stands beside tables [[molecules]], each of which has a file of its own");
    readMolecules(std::move(molecules), file, config.model, data);
    readParticles(root, config.model);
}

void readPrepared(const std::string& file, TrainingConfig& config) {
    const toml::table content = parseToml(file);
    ConfigTable root(content, file, "");
    readSources(root, root, file, config);
    root.finish();
}

} // namespace

void readDataConfig(ConfigTable& root, const std::string& file, const std::string& prepared,
                    TrainingConfig& config) {
    ConfigTable table = root.table("data");
    root.ignore("evaluation"); // What follows the training.
    // A proposal's file knows no temperature; only bias energies do.
    const bool needed = !root.has("proposal") || table.has("bias_energy");
    config.model.temperature =
        positive(table, "temperature", needed ? std::nullopt : std::optional<double>(300.0));
    config.data.validationFraction = between(table, "validation_fraction", 0.0, 0.9, 0.1);
    config.data.validationSplit = table.choice("validation_split", {"random", "last"}, 0) == 0
                                      ? DataConfig::Split::Random
                                      : DataConfig::Split::Last;
    if (prepared.empty())
        readSources(root, table, file, config);
    else {
        for (const char* key : {"file", "unit", "atoms", "weights", "log_weights", "bias_energy"})
            table.ignore(key);
        for (const char* key : trajectoryKeys)
            table.ignore(key);
        for (const char* key : {"molecules", "features"})
            root.ignore(key);
        readPrepared(prepared, config);
        if (config.model.particles.empty())
            readParticles(root, config.model);
        for (const char* key : {"particles", "bonds"})
            root.ignore(key);
    }
    table.finish();
}

} // namespace OpenMMScore
