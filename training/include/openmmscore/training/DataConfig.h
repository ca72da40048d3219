#ifndef OPENMMSCORE_TRAINING_DATACONFIG_H_
#define OPENMMSCORE_TRAINING_DATACONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

namespace OpenMMScore {

/** The frames of one molecule. */
struct MoleculeData {
    /** What the numbers of weightsFile are: w, log w, or V in kJ/mol of a simulation in the potential U + V.
     */
    enum class Weights { Plain, Logarithms, BiasEnergies };

    /** Empty where there is one molecule only. */
    std::string name;
    std::string file;
    /** A file with one number for each frame; empty for equal weights. */
    std::string weightsFile;
    Weights weights = Weights::Plain;
    /** What the network is told about each particle, [particles, features], row after row. */
    std::vector<std::int64_t> features;
};

/** Where the frames come from, what they count, and how they are divided. */
struct DataConfig {
    /** At least one; all with the same number of particles. */
    std::vector<MoleculeData> molecules;
    /** nm for one unit of the files. */
    double unit = 1.0;
    /** Indices into the files' second axis; empty for all. */
    std::vector<std::int64_t> atoms;
    double validationFraction = 0.1;
    /** Whether frames for validation are drawn at random, or are the last of each file: of a trajectory,
     * neighbours are alike. */
    enum class Split { Random, Last } validationSplit = Split::Random;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_DATACONFIG_H_
