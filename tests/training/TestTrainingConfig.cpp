#include <gtest/gtest.h>

#include "TrainingFiles.h"
#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore::testing {
namespace {

std::string problemWith(const std::string& text) {
    TemporaryFolder folder;
    const std::string path = folder.write("run.toml", text);
    return messageOf([&] { TrainingConfig::read(path); });
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
    return text;
}

::testing::AssertionResult contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos ? ::testing::AssertionSuccess()
                                                : ::testing::AssertionFailure() << text << " lacks " << part;
}

TEST(TrainingConfig, ReadsARunWithItsDefaults) {
    TemporaryFolder folder;
    const auto config = TrainingConfig::read(folder.write("run.toml", smallRun("title = \"a chain\"")));
    EXPECT_EQ(config.model.title, "a chain");
    EXPECT_EQ(config.seed, 5u);
    EXPECT_EQ(config.data.molecules.at(0).file, folder.path("chain.npy"));
    EXPECT_EQ(config.output.directory, folder.path("out"));
    const ExpertDescription& expert = config.model.experts.at(0);
    EXPECT_EQ(expert.graphTransformer.feedForward, 32);
    EXPECT_EQ(expert.outputSign, 1);
    EXPECT_TRUE(config.measureLengthScale);
    EXPECT_EQ(config.stages[0].lowerTime, 1e-5);
    EXPECT_EQ(config.stages[0].timeMidpoint, 0.5);
}

TEST(TrainingConfig, TakesEveryNumberOfANetworkAndItsSchedule) {
    TemporaryFolder folder;
    const std::string network =
        "feed_forward = 24\nembedding_width = 6\nlayer_norm_epsilon = 1e-5\ngelu = \"erf\"\n"
        "interval = [0.0, 0.5]\ntime_features = \"linear\"\nbeta_min = 0.2\nbeta_max = 10\nhidden = 8\n";
    const auto config = TrainingConfig::read(
        folder.write("run.toml", replaced(smallRun("[[features]]\nname = \"atom\"\nnum_values = 3\n"),
                                          "hidden = 8\n", network)));
    const ExpertDescription& expert = config.model.experts.at(0);
    EXPECT_EQ(expert.graphTransformer.feedForward, 24);
    EXPECT_EQ(expert.graphTransformer.embeddingWidth, 6);
    EXPECT_EQ(expert.graphTransformer.layerNormEpsilon, 1e-5);
    EXPECT_EQ(expert.graphTransformer.gelu, Gelu::Erf);
    EXPECT_EQ(expert.upperTime, 0.5);
    EXPECT_EQ(expert.timeFeatures, TimeFeatures::Linear);
    EXPECT_EQ(config.model.schedule.betaMin, 0.2);
    EXPECT_EQ(config.model.schedule.betaMax, 10.0);
}

TEST(TrainingConfig, TakesEveryNumberOfTheTraining) {
    TemporaryFolder folder;
    const std::string training = "gradient_clip = 5\nema_interval = 3\nfinal_learning_rate = 2e-6\n"
                                 "weight_decay = 0.01\nthreads = 1\nrandom_rotations = false\n"
                                 "[fokker_planck]\nbackward_step = 2e-3\nforward_step = 1e-3\n";
    const auto config = TrainingConfig::read(folder.write("run.toml", smallRun("", training)));
    const StageConfig& stage = config.stages.at(0);
    EXPECT_EQ(stage.gradientClip, 5.0);
    EXPECT_EQ(stage.emaInterval, 3);
    EXPECT_EQ(stage.finalLearningRate, 2e-6);
    EXPECT_EQ(stage.weightDecay, 0.01);
    EXPECT_EQ(config.training.threads, 1);
    EXPECT_FALSE(config.training.randomRotations);
    EXPECT_EQ(stage.fokkerPlanck.backwardStep, 2e-3);
    EXPECT_EQ(stage.fokkerPlanck.forwardStep, 1e-3);
}

TEST(TrainingConfig, NamesTheNearestKeyOfAnUnknownOne) {
    EXPECT_TRUE(contains(problemWith(smallRun("", "lerning_rate = 1\n")),
                         "training.lerning_rate (line 17) is not a key that is known; did you mean "
                         "training.learning_rate?"));
    EXPECT_TRUE(contains(problemWith(smallRun("sed = 1")), "did you mean seed?"));
    EXPECT_TRUE(contains(problemWith(smallRun("[extras]\nx = 1")), "extras"));
}

TEST(TrainingConfig, ChecksTypesAndRanges) {
    const std::string run = smallRun();
    EXPECT_TRUE(contains(problemWith(replaced(run, "steps = 12", "steps = 1.5")),
                         "training.steps must be an integer"));
    EXPECT_TRUE(
        contains(problemWith(replaced(run, "steps = 12", "steps = 0")), "must be at least 1, it is 0"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "\"chain.npy\"", "7")), "data.file must be a text"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "1e-3", "\"fast\"")), "must be a number, it is a text"));
    EXPECT_TRUE(
        contains(problemWith(replaced(run, "temperature = 300", "temperature = -1")), "greater than zero"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "temperature = 300", "")), "data.temperature is missing"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "\nsteps = 12", "\nstepz = 12")),
                         "training.steps is missing; is training.stepz (line 13) a misspelling?"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "graph-transformer", "cnn")),
                         "one of \"mlp\", \"graph-transformer\""));
    EXPECT_TRUE(contains(problemWith(replaced(run, "hidden = 8", "hidden = [8, 8]")),
                         "model.hidden must be one integer"));
    EXPECT_TRUE(
        contains(problemWith(smallRun("", "time_interval = [0.5, 0.1]\n")), "two increasing numbers"));
    EXPECT_TRUE(
        contains(problemWith(smallRun("", "time_midpoint = 1.0\n")), "must lie inside model.interval"));
    EXPECT_TRUE(contains(problemWith(smallRun("", "start_expert = 1\n")), "there is no start_from"));
    EXPECT_TRUE(
        contains(problemWith(smallRun("", "levels = \"uniform\"\n")), "is for the discrete diffusions"));
    EXPECT_EQ(problemWith(smallRun("method = \"two-for-one\"\n", "levels = \"uniform\"\n")), "");
}

TEST(TrainingConfig, RefusesWhatNoNumberCanHoldOrNobodyCanMean) {
    const std::string run = smallRun();
    // As an int this would be a width of 1.
    EXPECT_TRUE(contains(problemWith(replaced(run, "hidden = 8", "hidden = 4294967297")),
                         "model.hidden must be at most 2147483647, it is 4294967297"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "steps = 12", "steps = 9223372036854775807")),
                         "training.steps must be at most"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "steps = 12", "epochs = 9223372036854775807")),
                         "training.epochs must be at most"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "samples = 32", "samples = 99999999999999")),
                         "output.validation_samples must be at most"));
    EXPECT_EQ(problemWith(replaced(run, "seed = 5", "seed = 9223372036854775807")), "");
    EXPECT_TRUE(contains(problemWith(smallRun("", "time_interval = []\n")), "two increasing numbers"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "temperature = 300", "temperature = -3")), "it is -3"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "hidden = 8", "hidden = 8\nbeta_min = 30")),
                         "model.beta_min must not be greater than beta_max"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "\nsteps = 12", "")),
                         "training.steps is missing; give it or training.epochs"));
}

TEST(TrainingConfig, ChecksFilesAndAtoms) {
    const std::string run = smallRun();
    EXPECT_TRUE(contains(problemWith(replaced(run, "\"chain.npy\"", "\"\"")), "data.file is empty"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "\"out\"", "\"\"")), "output.directory is empty"));
    const auto atoms = [&](const std::string& list) {
        return problemWith(replaced(run, "temperature = 300", "temperature = 300\natoms = " + list));
    };
    EXPECT_EQ(atoms("[2, 0]"), "");
    EXPECT_TRUE(contains(atoms("[]"), "data.atoms is empty"));
    EXPECT_TRUE(contains(atoms("[2, 0, 2]"), "data.atoms names index 2 twice"));
}

TEST(TrainingConfig, TheModelMustAnswerAtItsOwnTime) {
    const auto problem = [](const std::string& model) {
        return problemWith(replaced(smallRun(), "hidden = 8", "hidden = 8\n" + model));
    };
    EXPECT_TRUE(contains(problem("interval = [0.0, 0.1]\ndefault_diffusion_time = 0.5"),
                         "model.default_diffusion_time must lie between 0 and 0.1, it is 0.5"));
    EXPECT_EQ(problem("interval = [0.0, 0.1]\ndefault_diffusion_time = 0.1"), "");
    EXPECT_EQ(problemWith("method = \"diffusion\"\n" +
                          replaced(smallRun(), "hidden = 8", "hidden = 8\ninterval = [0.1, 1.0]")),
              "");
}

TEST(TrainingConfig, ChecksBondsAgainstParticles) {
    const std::string particles =
        "\n[[particles]]\nname = \"A\"\nmass = 12\n[[particles]]\nname = \"B\"\nmass = 12\n";
    EXPECT_EQ(problemWith(smallRun("bonds = [[0, 1]]") + particles), "");
    EXPECT_TRUE(contains(problemWith(smallRun("bonds = [[0, 2]]") + particles), "bonds must be pairs"));
    EXPECT_TRUE(contains(problemWith(smallRun("bonds = [[0]]") + particles), "bonds must be pairs"));
    EXPECT_TRUE(contains(problemWith(smallRun("bonds = [[0, 1]]")), "there are no tables [[particles]]"));
}

TEST(TrainingConfig, ReadsMoleculesWithTheirFeatures) {
    TemporaryFolder folder;
    const std::string tables = "\n[[features]]\nname = \"kind\"\nnum_values = 3\n"
                               "[[molecules]]\nname = \"AB\"\nfile = \"ab.npy\"\nfeatures = [[0], [2]]\n"
                               "[[molecules]]\nfile = \"ba.npy\"\nweights = \"w.npy\"\n"
                               "features = [[2], [0]]\n";
    const std::string run = replaced(smallRun(), "file = \"chain.npy\"\n", "") + tables;
    const auto config = TrainingConfig::read(folder.write("run.toml", run));
    ASSERT_EQ(config.data.molecules.size(), 2u);
    EXPECT_EQ(config.data.molecules[0].name, "AB");
    EXPECT_EQ(config.data.molecules[1].name, "molecule 1");
    EXPECT_EQ(config.data.molecules[1].features, (std::vector<std::int64_t>{2, 0}));
    EXPECT_EQ(config.data.molecules[1].weightsFile, folder.path("w.npy"));
    EXPECT_EQ(config.model.features.at(0).numValues, 3);
    EXPECT_EQ(config.model.experts.at(0).graphTransformer.embeddingWidth, 16);
    EXPECT_TRUE(contains(problemWith(smallRun() + tables), "data.file stands beside tables [[molecules]]"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "[[0], [2]]", "[[0], [3]]")), "holds 3 for feature kind"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "[[0], [2]]", "[[0, 1]]")), "a row has 2"));
}

TEST(TrainingConfig, LeavesTrajectoriesToPreparation) {
    const std::string run = replaced(smallRun(), "file = \"chain.npy\"",
                                     "trajectory = \"run.dcd\"\ntopology = \"a.pdb\"\nselection = \"all\"");
    EXPECT_TRUE(contains(problemWith(run), "data.trajectory is read by: openmmscore train "));
    EXPECT_TRUE(contains(problemWith(replaced(smallRun(), "chain.npy", "chain.npz")), "openmmscore train"));
    TemporaryFolder folder;
    const std::string prepared =
        folder.write("frames.toml", "file = \"frames.npy\"\n[[particles]]\nname = \"A\"\nmass = 2.0\n");
    const auto config = TrainingConfig::read(folder.write("run.toml", run), prepared);
    EXPECT_EQ(config.data.molecules.at(0).file, folder.path("frames.npy"));
    EXPECT_EQ(config.model.particles.at(0).mass, 2.0);
    EXPECT_EQ(config.data.unit, 1.0);
    const std::string typo = folder.write("typo.toml", replaced(run, "topology", "toplogy"));
    EXPECT_TRUE(contains(messageOf([&] { TrainingConfig::read(typo, prepared); }), "mean data.topology?"));
}

TEST(TrainingConfig, TakesOneKindOfWeights) {
    const std::string run = smallRun();
    const auto with = [&](const std::string& keys) {
        return problemWith(replaced(run, "temperature = 300", "temperature = 300\n" + keys));
    };
    EXPECT_EQ(with("log_weights = \"w.npy\"\n"), "");
    EXPECT_TRUE(contains(with("weights = \"w.npy\"\nbias_energy = \"v.npy\"\n"),
                         "data.bias_energy stands beside weights"));
}

TEST(TrainingConfig, SaysWhereAFileIsNoToml) {
    EXPECT_TRUE(contains(problemWith("seed = 1\ntitle = \n"), "line 2 is not TOML"));
    EXPECT_TRUE(
        contains(messageOf([] { TrainingConfig::read("/nowhere/run.toml"); }), "there is no such file"));
}

const char* const mlpRun = "[data]\nfile = \"plane.npy\"\ntemperature = 300\n"
                           "[model]\narchitecture = \"mlp\"\n[training]\nbatch_size = 128\n";

TrainingConfig parsed(const std::string& text) {
    TemporaryFolder folder;
    return TrainingConfig::read(folder.write("run.toml", text));
}

TEST(TrainingMethods, OfOneNetwork) {
    const auto diffusion = parsed("method = \"diffusion\"\n" + std::string(mlpRun) + "steps = 10\n");
    EXPECT_EQ(diffusion.model.experts.at(0).mlp.hidden, (std::vector<int>{92, 92, 92}));
    EXPECT_EQ(diffusion.stages.at(0).timeMidpoint, 0.5);
    EXPECT_EQ(diffusion.stages.at(0).fokkerPlanck.weight, 0.0);
    const auto regularized = parsed("method = \"fokker-planck\"\n" + std::string(mlpRun) + "steps = 10\n");
    EXPECT_EQ(regularized.stages.at(0).fokkerPlanck.weight, 5e-4);
    EXPECT_EQ(regularized.stages.at(0).fokkerPlanck.timeDerivative,
              FokkerPlanckOptions::TimeDerivative::Exact);
    const auto molecule =
        parsed(replaced(smallRun("method = \"diffusion\""), "hidden = 8\nlayers = 1\n", ""));
    EXPECT_EQ(molecule.model.experts.at(0).graphTransformer.hidden, 96);
    EXPECT_EQ(molecule.model.experts.at(0).graphTransformer.feedForward, 384);
    EXPECT_EQ(molecule.stages.at(0).timeMidpoint, 0.3);
    EXPECT_EQ(molecule.model.defaultDiffusionTime, 1e-5);
}

TEST(TrainingMethods, MixturesDivideTheStepsAsPublished) {
    auto mixture = parsed("method = \"both\"\n" + std::string(mlpRun) + "epochs = 180\n");
    ASSERT_EQ(mixture.stages.size(), 3u);
    EXPECT_EQ(mixture.model.experts[1].mlp.hidden, (std::vector<int>{64, 64}));
    EXPECT_EQ(mixture.model.experts[1].timeFeatures, TimeFeatures::FourierRescaled);
    EXPECT_EQ(mixture.model.experts[2].timeFeatures, TimeFeatures::Fourier);
    EXPECT_EQ(mixture.model.experts[0].head, Head::Energy);
    EXPECT_EQ(mixture.stages[1].lowerTime, 0.1);
    EXPECT_EQ(mixture.stages[1].timeMidpoint, 0.35);
    EXPECT_EQ(mixture.stages[1].fokkerPlanck.weight, 0.0);
    EXPECT_EQ(mixture.stages[2].fokkerPlanck.weight, 5e-4);
    EXPECT_EQ(mixture.stages[2].timeMidpoint, 0.05);
    EXPECT_EQ(mixture.model.defaultDiffusionTime, 0.0);
    mixture.resolveSteps(100000);
    // 781 full batches of 128 in an epoch.
    EXPECT_EQ(mixture.stages[0].steps, 30 * 781);
    EXPECT_EQ(mixture.stages[2].steps, 120 * 781);
    mixture.totalSteps = 600;
    mixture.resolveSteps(100000);
    EXPECT_EQ(mixture.stages[0].steps, 100);
    EXPECT_EQ(mixture.stages[2].steps, 400);

    const auto molecule = parsed(smallRun("method = \"both\""));
    EXPECT_EQ(molecule.model.experts[0].head, Head::Score);
    EXPECT_EQ(molecule.model.experts[0].outputSign, -1);
    EXPECT_EQ(molecule.model.experts[2].head, Head::Energy);
    EXPECT_EQ(molecule.model.experts[0].graphTransformer.hidden, 8);
    EXPECT_EQ(molecule.stages[2].timeMidpoint, 0.03);
    EXPECT_EQ(molecule.stages[2].fokkerPlanck.weight, 1e-3);
    EXPECT_EQ(molecule.stages[1].steps, 2);
}

TEST(TrainingMethods, TwoForOneIsADiscreteDiffusion) {
    const auto config = parsed(smallRun("method = \"two-for-one\""));
    EXPECT_EQ(config.model.schedule.kind, ScheduleDescription::Kind::CosineDdpm);
    const ExpertDescription& expert = config.model.experts.at(0);
    EXPECT_EQ(expert.scaling, Scaling::InverseSigma);
    EXPECT_EQ(expert.outputSign, -1);
    EXPECT_EQ(expert.timeFeatures, TimeFeatures::Linear);
    EXPECT_EQ(expert.graphTransformer.gelu, Gelu::Erf);
    EXPECT_EQ(expert.graphTransformer.layerNormEpsilon, 1e-5);
    EXPECT_EQ(config.stages.at(0).emaInterval, 10);
    EXPECT_TRUE(
        contains(problemWith("method = \"two-for-one\"\n" + std::string(mlpRun)), "graph transformer"));
    EXPECT_TRUE(contains(problemWith(smallRun("method = \"two-for-one\"\n[fokker_planck]\nweight = 1\n")),
                         "no Fokker-Planck loss"));
}

TEST(TrainingMethods, DdpmPredictsCleanData) {
    const auto config = parsed("method = \"ddpm\"\n" + std::string(mlpRun) + "steps = 10\n");
    EXPECT_EQ(config.model.experts.at(0).mlp.hidden, (std::vector<int>{256, 256}));
    EXPECT_EQ(config.model.schedule.kind, ScheduleDescription::Kind::PolynomialDdpm);
    EXPECT_EQ(config.model.schedule.numSteps, 100);
    EXPECT_EQ(config.model.experts.at(0).head, Head::Score);
    EXPECT_EQ(config.model.experts.at(0).scaling, Scaling::CleanData);
    EXPECT_EQ(config.model.experts.at(0).outputSign, 1);
    EXPECT_FALSE(config.stages.at(0).preferLowLevels);
    EXPECT_TRUE(contains(config.toJson(0), "uniform"));
    EXPECT_TRUE(contains(problemWith(smallRun("method = \"ddpm\"")), "defined for perceptrons"));
}

TEST(TrainingStages, OverrideTheCommonTables) {
    const std::string stages =
        "[[stages]]\nsteps = 5\nbatch_size = 7\nhidden = [8]\nhead = \"score\"\nlearning_rate = 1e-2\n"
        "[[stages]]\nepochs = 2\nstart_from = \"a.safetensors\"\nstart_expert = 4\n"
        "[[stages]]\ninterval = [0.0, 0.1]\ntime_interval = [1e-4, 0.05]\ntime_midpoint = 0.02\n"
        "fokker_planck_weight = 0.25\n";
    const std::string fokkerPlanck = "[fokker_planck]\nperturbation = 1e-3\ntime_derivative = \"stencil\"\n"
                                     "divergence = \"upstream-one-dimension\"\n";
    const auto config =
        parsed("method = \"both\"\n" + std::string(mlpRun) + "steps = 600\nema = \"upstream-per-epoch\"\n" +
               "times = \"stratified\"\n" + fokkerPlanck + stages);
    EXPECT_EQ(config.model.experts[0].mlp.hidden, (std::vector<int>{8}));
    EXPECT_EQ(config.model.experts[0].head, Head::Score);
    EXPECT_EQ(config.stages[0].steps, 5);
    EXPECT_EQ(config.stages[0].batchSize, 7);
    EXPECT_EQ(config.stages[0].averaging, Averaging::UpstreamPerEpoch);
    EXPECT_TRUE(config.stages[0].stratifiedTimes);
    EXPECT_EQ(config.stages[1].epochs, 2);
    EXPECT_EQ(config.stages[1].steps, 0);
    EXPECT_EQ(config.stages[1].startExpert, 4);
    EXPECT_EQ(config.stages[2].steps, 400);
    EXPECT_EQ(config.stages[2].lowerTime, 1e-4);
    EXPECT_EQ(config.stages[2].timeMidpoint, 0.02);
    const FokkerPlanckOptions& options = config.stages[2].fokkerPlanck;
    EXPECT_EQ(options.weight, 0.25);
    EXPECT_EQ(options.perturbation, 1e-3);
    EXPECT_EQ(options.timeDerivative, FokkerPlanckOptions::TimeDerivative::Stencil);
    EXPECT_TRUE(options.oneDimensionalDivergence);
}

TEST(TrainingStages, MayBeOthersThanTheMethods) {
    const std::string run = "method = \"mixture\"\n" + std::string(mlpRun) + "steps = 600\n";
    const std::string two = "[[stages]]\ninterval = [0.2, 1.0]\n[[stages]]\ninterval = [0.0, 0.2]\n";
    const auto config = parsed(run + two);
    ASSERT_EQ(config.stages.size(), 2u);
    EXPECT_EQ(config.stages[0].steps, 300);
    EXPECT_EQ(config.stages[0].timeMidpoint, 0.6);
    EXPECT_TRUE(contains(problemWith(run + replaced(two, "[0.2, 1.0]", "[0.3, 1.0]")), "without gaps"));
    EXPECT_TRUE(contains(problemWith(run + "[[stages]]\n[[stages]]\n"), "stages[0].interval is missing"));
    EXPECT_TRUE(contains(problemWith(run + replaced(two, "interval", "intervall")), "interval is missing"));
    EXPECT_TRUE(contains(problemWith(run + two + "sides = 1\n"), "stages[1].sides"));
}

TEST(TrainingStages, RefusesWhatDoesNotFitTogether) {
    const std::string run = "method = \"both\"\n" + std::string(mlpRun);
    EXPECT_TRUE(contains(problemWith(run), "training.steps is missing"));
    EXPECT_TRUE(contains(problemWith(run + "steps = 1\nepochs = 1\n"), "epochs stands beside steps"));
    EXPECT_TRUE(contains(problemWith(run + "steps = 9\ntime_midpoint = 0.1\n"), "under [[stages]]"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "both", "bth")), "method is \"bth\""));
    EXPECT_TRUE(contains(
        problemWith(smallRun("", "time_interval = [0.0, 0.5]\n") + "[[stages]]\ninterval = [0.0, 0.2]\n"),
        "time_interval must lie inside"));
    EXPECT_TRUE(contains(problemWith(replaced(smallRun("[fokker_planck]\nweight = 1.0\n"), "hidden = 8",
                                              "head = \"score\"\nhidden = 8")),
                         "the Fokker-Planck loss is one of energies"));
    EXPECT_TRUE(contains(problemWith(smallRun("[fokker_planck]\nwieght = 1.0\n")), "fokker_planck.weight?"));
}

} // namespace
} // namespace OpenMMScore::testing
