#ifndef OPENMMSCORE_TRAINING_METHODS_H_
#define OPENMMSCORE_TRAINING_METHODS_H_

#include <string>
#include <vector>

#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/** What a published method prescribes, before a configuration's own words. */
struct MethodPreset {
    /** With hidden and, for graph transformers, layers left empty where the method leaves them open. */
    std::vector<ExpertDescription> experts;
    std::vector<StageConfig> stages;
    /** How the steps of a run are divided among its stages, in these proportions. */
    std::vector<std::int64_t> shares;
    ScheduleDescription schedule;
    /** Negative if it is the start of the last expert's interval. */
    double defaultDiffusionTime = -1.0;
};

/** The names in a configuration; the first is that of no preset, one network as the configuration says. */
const std::vector<std::string>& methodNames();

/**
 * @param name  of methodNames()
 * @param mlp   whether networks are perceptrons on plain vectors, which were published on the Mueller-Brown
 *              surface; else graph transformers, published on molecules
 * Source: Plainer et al., arXiv:2506.17139 (ScoreMD), and its released configurations; Arts et al., J. Chem.
 * Theory Comput. 2023, doi:10.1021/acs.jctc.3c00702 (two-for-one), likewise; John,
 * Herron and Tiwary, arXiv:2411.09388 (ddpm).
 */
MethodPreset methodPreset(const std::string& name, bool mlp);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_METHODS_H_
