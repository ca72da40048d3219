#include "Methods.h"

#include <algorithm>

namespace OpenMMScore {

namespace {

/** The smallest time that is trained; the density at 0 itself need not exist. */
constexpr double smallestTime = 1e-5;

ExpertDescription expertOn(double lower, double upper, bool mlp) {
    ExpertDescription expert;
    expert.architecture =
        mlp ? ExpertDescription::Architecture::Mlp : ExpertDescription::Architecture::GraphTransformer;
    expert.lowerTime = lower;
    expert.upperTime = upper;
    // Left open: the numbers that a configuration must give, or that follow from others.
    expert.graphTransformer.feedForward = 0;
    return expert;
}

StageConfig stageOn(const ExpertDescription& expert, double midpoint) {
    StageConfig stage;
    stage.lowerTime = std::max(smallestTime, expert.lowerTime);
    stage.upperTime = expert.upperTime;
    stage.timeMidpoint = midpoint;
    return stage;
}

MethodPreset singleNetwork(bool mlp, double midpoint) {
    MethodPreset preset;
    preset.experts = {expertOn(0.0, 1.0, mlp)};
    preset.stages = {stageOn(preset.experts[0], midpoint)};
    preset.shares = {1};
    return preset;
}

/** ScoreMD's experiments: 92 x 3 on Mueller-Brown, H 96 with 2 layers on alanine dipeptide. */
void setSingleSizes(ExpertDescription& expert) {
    expert.mlp.hidden = {92, 92, 92};
    expert.graphTransformer.hidden = 96;
    expert.graphTransformer.layers = 2;
}

MethodPreset mixture(bool mlp) {
    MethodPreset preset;
    const double ends[] = {1.0, 0.6, 0.1, 0.0};
    // As many parameters together as the single network has.
    const std::vector<std::vector<int>> widths = {{54, 54}, {64, 64}, {64, 64, 64}};
    const double lastMidpoint = mlp ? 0.05 : 0.03;
    for (int k = 0; k < 3; k++) {
        ExpertDescription expert = expertOn(ends[k + 1], ends[k], mlp);
        setSingleSizes(expert);
        expert.mlp.hidden = widths[k];
        // Only the last one serves as a potential.
        expert.head = mlp || k == 2 ? Head::Energy : Head::Score;
        preset.experts.push_back(expert);
        preset.stages.push_back(stageOn(expert, k == 2 ? lastMidpoint : 0.5 * (ends[k] + ends[k + 1])));
    }
    preset.shares = mlp ? std::vector<std::int64_t>{1, 1, 4} : std::vector<std::int64_t>{1, 2, 7};
    return preset;
}

MethodPreset twoForOne() {
    MethodPreset preset = singleNetwork(false, 0.5);
    preset.schedule.kind = ScheduleDescription::Kind::CosineDdpm;
    ExpertDescription& expert = preset.experts[0];
    setSingleSizes(expert);
    expert.graphTransformer.layerNormEpsilon = 1e-5;
    expert.graphTransformer.gelu = Gelu::Erf;
    expert.timeFeatures = TimeFeatures::Linear;
    expert.outputSign = -1;
    expert.scaling = Scaling::InverseSigma;
    StageConfig& stage = preset.stages[0];
    stage.lowerTime = 0.0;
    stage.weightDecay = 1e-12;
    stage.emaDecay = 0.995;
    stage.emaInterval = 10;
    preset.defaultDiffusionTime = 0.008;
    return preset;
}

MethodPreset ddpm() {
    MethodPreset preset = singleNetwork(true, 0.5);
    preset.schedule.kind = ScheduleDescription::Kind::PolynomialDdpm;
    preset.schedule.numSteps = 100;
    preset.experts[0].head = Head::Score;
    preset.experts[0].scaling = Scaling::CleanData;
    // Published with a network for images. Two layers have a divergence that costs as much as a score.
    preset.experts[0].mlp.hidden = {256, 256};
    preset.stages[0].lowerTime = 0.0;
    preset.stages[0].preferLowLevels = false;
    return preset;
}

} // namespace

const std::vector<std::string>& methodNames() {
    static const std::vector<std::string> names = {"single",        "diffusion", "two-for-one", "mixture",
                                                   "fokker-planck", "both",      "ddpm"};
    return names;
}

MethodPreset methodPreset(const std::string& name, bool mlp) {
    if (name == "single")
        return singleNetwork(mlp, 0.5);
    if (name == "two-for-one")
        return twoForOne();
    if (name == "ddpm")
        return ddpm();
    const bool several = name == "mixture" || name == "both";
    MethodPreset preset = several ? mixture(mlp) : singleNetwork(mlp, mlp ? 0.5 : 0.3);
    if (!several)
        setSingleSizes(preset.experts[0]);
    if (name == "fokker-planck" || name == "both")
        preset.stages.back().fokkerPlanck.weight = several && !mlp ? 1e-3 : 5e-4;
    if (!mlp)
        preset.defaultDiffusionTime = smallestTime;
    return preset;
}

} // namespace OpenMMScore
