#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "FlaxWeights.h"

namespace OpenMMScore::testing {
namespace {

using Space = ModelDescription::Space;

double largest(const at::Tensor& x) {
    return x.abs().max().item<double>();
}

struct Case {
    std::string file;
    Space space;
    int count;
    ExpertDescription expert;
    std::string weightsFile = "", weightPrefix = "params/";
};

class TorchNetworkReference : public ::testing::TestWithParam<Case> {};

TEST_P(TorchNetworkReference, EnergiesAndScoresAreThoseOfScoreMD) {
    const Case& c = GetParam();
    const ReferenceFile reference(c.file, "");
    const ReferenceFile weights(c.weightsFile.empty() ? c.file : c.weightsFile, c.weightPrefix);
    ModelDescription model = describe(c.space, c.count, {c.expert});
    at::Tensor features;
    if (reference.has("in/features")) {
        model.features = {{"amino_acid", 20}, {"atom", 5}, {"element", 3}, {"residue", 2}};
        model.experts[0].graphTransformer.embeddingWidth = 16;
        features = reference.tensor("in/features");
    }
    const auto network = weights.network(model);
    const at::Tensor x = reference.tensor("in/x"), times = reference.tensor("in/t");
    const bool energy = c.expert.head == Head::Energy;
    for (std::int64_t k = 0; k < times.size(0); k++) {
        const at::Tensor t = times[k].expand({x.size(0)}).contiguous();
        const at::Tensor score = reference.tensor("out64/score")[k];
        const auto recorded = network->recordScore(x, t, Record::Score, features);
        EXPECT_LT(largest(recorded->getScore() - score), 1e-10 * (1 + largest(score)));
        if (energy) {
            const at::Tensor e = reference.tensor("out64/energy")[k];
            EXPECT_LT(largest(network->energy(x, t, features) - e), 1e-10 * (1 + largest(e)));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    ScoreMD, TorchNetworkReference,
    ::testing::Values(
        Case{"gt_tiny_potential", Space::Particles, 3, transformerExpert(8, 1, 0.0, 0.1)},
        Case{"gt_aldp_potential", Space::Particles, 5, transformerExpert(96, 2, 0.0, 0.1),
             "mixture_aldp_both", "params/models_2/"},
        Case{"gt_tiny_scorehead", Space::Particles, 4, transformerExpert(8, 2, 0.6, 1.0, Head::Score)},
        Case{"gt_dipeptide_potential", Space::Particles, 10, transformerExpert(128, 3, 0.0, 0.1)},
        Case{"gt_tiny_dipeptide_scorehead", Space::Particles, 10,
             transformerExpert(8, 1, 0.1, 0.6, Head::Score)},
        Case{"mlp_pot_single_t0-1", Space::Vector, 2, mlpExpert({92, 92, 92}, 0.0, 1.0)},
        Case{"mlp_pot_t0.1-0.6", Space::Vector, 2, mlpExpert({64, 64}, 0.1, 0.6)},
        Case{"mlp_score_t0.6-1", Space::Vector, 2, mlpExpert({54, 54}, 0.6, 1.0, Head::Score)}),
    [](const auto& instance) {
        std::string name = instance.param.file;
        for (char& c : name)
            c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
        return name;
    });

/** A transformer of odd sizes with random weights everywhere, biases and norms included. */
std::unique_ptr<TorchNetwork> oddTransformer(Gelu gelu, Scaling scaling, int particles,
                                             at::ScalarType dtype) {
    ExpertDescription expert = transformerExpert(20, 3, 0.0, 1.0);
    expert.graphTransformer.heads = 3;
    expert.graphTransformer.headSize = 12;
    expert.graphTransformer.feedForward = 28;
    expert.graphTransformer.gelu = gelu;
    expert.scaling = scaling;
    expert.outputSign = -1;
    const ModelDescription model = describe(Space::Particles, particles, {expert});
    auto network = TorchNetwork::create(model, 0, dtype);
    std::vector<std::vector<double>> values;
    for (const NamedTensor& tensor : fillWeights(model))
        values.push_back(tensor.values);
    network->importTensors(values);
    return network;
}

/** A perceptron of odd sizes with random weights everywhere. */
std::unique_ptr<TorchNetwork> oddMlp(std::vector<int> hidden, Scaling scaling, at::ScalarType dtype) {
    ExpertDescription expert = mlpExpert(std::move(hidden), 0.1, 0.6);
    expert.scaling = scaling;
    expert.outputSign = -1;
    const ModelDescription model = describe(Space::Vector, 3, {expert});
    auto network = TorchNetwork::create(model, 0, dtype);
    std::vector<std::vector<double>> values;
    for (const NamedTensor& tensor : fillWeights(model))
        values.push_back(tensor.values);
    network->importTensors(values);
    return network;
}

/** All outputs of the sweeps, and the gradients of random combinations of them, against autograd. */
void expectSweepsLikeAutograd(const TorchNetwork& network, Record what) {
    at::manual_seed(5);
    const std::int64_t d = network.getNumCoordinates();
    const at::Tensor z = at::randn({6, d}, at::kDouble);
    // Times outside of the interval count as its ends.
    const at::Tensor t = at::linspace(-0.05, 1.05, 6, at::kDouble);
    const auto random = [&](Record atLeast) {
        return what >= atLeast ? at::randn({6}, at::kDouble) : at::Tensor();
    };
    const Cotangents cotangents{at::randn({6, d}, at::kDouble), random(Record::Energy),
                                random(Record::EnergyRate)};
    const auto swept = network.recordScore(z, t, what);
    const auto graph = network.TorchNetwork::recordScore(z, t, what);
    EXPECT_LE(largest(swept->getScore() - graph->getScore()), 1e-12 * largest(graph->getScore()));
    if (what >= Record::Energy) {
        EXPECT_LE(largest(swept->getEnergy() - graph->getEnergy()), 1e-12 * largest(graph->getEnergy()));
    }
    if (what >= Record::EnergyRate) {
        EXPECT_LE(largest(swept->getEnergyRate() - graph->getEnergyRate()),
                  1e-12 * largest(graph->getEnergyRate()));
    }
    at::Tensor a = at::zeros({network.getNumParameters()}, at::kDouble), b = at::zeros_like(a);
    swept->addGradient(cotangents, a);
    graph->addGradient(cotangents, b);
    EXPECT_LE(largest(a - b), 1e-12 * largest(b));
}

TEST(TransformerSweeps, EnergiesAndRatesAreThoseOfAutograd) {
    expectSweepsLikeAutograd(*oddTransformer(Gelu::Tanh, Scaling::None, 5, at::kDouble), Record::EnergyRate);
    expectSweepsLikeAutograd(*oddTransformer(Gelu::Erf, Scaling::InverseSigma, 5, at::kDouble),
                             Record::Energy);
}

TEST(MlpSweeps, AreThoseOfAutograd) {
    for (const Record what : {Record::Score, Record::Energy, Record::EnergyRate}) {
        expectSweepsLikeAutograd(*oddMlp({9, 7, 5}, Scaling::None, at::kDouble), what);
        expectSweepsLikeAutograd(*oddMlp({6}, Scaling::None, at::kDouble), what);
        expectSweepsLikeAutograd(*oddMlp({}, Scaling::None, at::kDouble), what);
    }
    expectSweepsLikeAutograd(*oddMlp({8, 8}, Scaling::InverseSigma, at::kDouble), Record::Energy);
}

TEST(EnergyRate, IsTheDerivativeOfTheEnergy) {
    const auto network = oddMlp({9, 7}, Scaling::None, at::kDouble);
    at::manual_seed(6);
    const at::Tensor z = at::randn({4, 3}, at::kDouble), t = at::linspace(0.2, 0.5, 4, at::kDouble);
    const double step = 1e-6;
    const at::Tensor expected = (network->energy(z, t + step) - network->energy(z, t - step)) / (2 * step);
    const at::Tensor rate = network->recordScore(z, t, Record::EnergyRate)->getEnergyRate();
    EXPECT_LT(largest(rate - expected), 1e-7 * largest(expected));
    const auto scaled = oddMlp({4}, Scaling::InverseSigma, at::kDouble);
    EXPECT_THROW(scaled->recordScore(z, t, Record::EnergyRate), ShapeError);
}

TEST(TorchNetwork, PredictedCleanDataMeansTheScoreOfThePlainEngine) {
    ModelDescription model = describe(Space::Vector, 3, {mlpExpert({9, 6}, 0.0, 1.0, Head::Score)});
    model.schedule.kind = ScheduleDescription::Kind::PolynomialDdpm;
    model.schedule.numSteps = 100;
    model.experts[0].scaling = Scaling::CleanData;
    const auto network = TorchNetwork::create(model, 0, at::kDouble);
    network->initialize(3);
    const auto loaded = makeModel(model, network->exportTensors(network->getFlatParameters()));
    const at::Tensor z = at::randn({4, 3}, at::kDouble);
    const at::Tensor t = at::tensor({0.0, 0.03, 0.5, 0.99}, at::kDouble);
    std::vector<double> scores(12);
    loaded->evaluate(4, {z.data_ptr<double>(), 12}, {t.data_ptr<double>(), 4}, {}, nullptr, scores.data());
    const at::Tensor expected = at::tensor(scores, at::kDouble).view({4, 3});
    EXPECT_LT(largest(network->recordScore(z, t)->getScore() / expected - 1), 1e-10);
}

/** A model of five particles with three features, of odd sizes. */
ModelDescription transferableModel(Head head) {
    ExpertDescription expert = transformerExpert(20, 2, 0.0, 1.0, head);
    expert.graphTransformer.heads = 3;
    expert.graphTransformer.headSize = 12;
    expert.graphTransformer.feedForward = 28;
    expert.graphTransformer.embeddingWidth = 6;
    ModelDescription model = describe(Space::Particles, 5, {expert});
    model.features = {{"amino_acid", 7}, {"atom", 5}, {"residue", 2}};
    return model;
}

/** Features of a batch, [batch, 5, 3]: each sample is another molecule. */
at::Tensor someFeatures(std::int64_t batch) {
    const at::Tensor sizes = at::tensor({7, 5, 2}, at::kLong);
    return at::remainder(at::arange(batch * 15).mul(11).view({batch, 5, 3}), sizes);
}

TEST(ParticleFeatures, NetworksAreThoseOfThePlainEngine) {
    for (const Head head : {Head::Energy, Head::Score}) {
        const ModelDescription model = transferableModel(head);
        const auto network = TorchNetwork::create(model, 0, at::kDouble);
        network->initialize(3);
        const auto loaded = makeModel(model, network->exportTensors(network->getFlatParameters()));
        at::manual_seed(4);
        const at::Tensor z = at::randn({3, 15}, at::kDouble), t = at::rand({3}, at::kDouble);
        const at::Tensor features = someFeatures(3), narrow = features.to(at::kInt).contiguous();
        std::vector<double> energies(3), scores(45);
        loaded->evaluate(3, {z.data_ptr<double>(), 45}, {t.data_ptr<double>(), 3},
                         {narrow.data_ptr<int>(), 45}, head == Head::Energy ? energies.data() : nullptr,
                         scores.data());
        const auto recorded = network->recordScore(z, t, Record::Score, features);
        EXPECT_LT(largest(recorded->getScore() - at::tensor(scores, at::kDouble).view({3, 15})), 1e-12);
        if (head == Head::Energy) {
            EXPECT_LT(largest(network->energy(z, t, features) - at::tensor(energies, at::kDouble)), 1e-12);
        }
    }
}

TEST(ParticleFeatures, SweepsAreThoseOfAutogradAndFiniteDifferences) {
    const auto network = TorchNetwork::create(transferableModel(Head::Energy), 0, at::kDouble);
    network->initialize(5);
    at::manual_seed(6);
    const at::Tensor z = at::randn({4, 15}, at::kDouble), t = at::rand({4}, at::kDouble);
    const at::Tensor features = someFeatures(4);
    const Cotangents cotangents{at::randn({4, 15}, at::kDouble), at::randn({4}, at::kDouble),
                                at::randn({4}, at::kDouble)};
    at::Tensor& parameters = network->getFlatParameters();
    at::Tensor swept = at::zeros_like(parameters), graph = at::zeros_like(parameters);
    const auto record = [&] { return network->recordScore(z, t, Record::EnergyRate, features); };
    record()->addGradient(cotangents, swept);
    network->TorchNetwork::recordScore(z, t, Record::EnergyRate, features)->addGradient(cotangents, graph);
    EXPECT_LE(largest(swept - graph), 1e-12 * largest(graph));
    const std::int64_t numEmbeddings = 6 * (7 + 5 + 2);
    EXPECT_EQ(network->getShapes().at(3).name, "experts.0.edge_embedding.weight");
    EXPECT_GT(swept.narrow(0, 0, numEmbeddings).count_nonzero().item<std::int64_t>(), numEmbeddings / 2);

    // Along the embeddings alone.
    at::Tensor direction = at::zeros_like(parameters);
    direction.narrow(0, 0, numEmbeddings).normal_();
    const at::Tensor start = parameters.clone();
    const auto along = [&](double step) {
        parameters.copy_(start + step * direction);
        const auto recorded = record();
        return ((cotangents.score * recorded->getScore()).sum() +
                (cotangents.energy * recorded->getEnergy()).sum() +
                (cotangents.energyRate * recorded->getEnergyRate()).sum())
            .item<double>();
    };
    const double step = 1e-5, expected = (along(step) - along(-step)) / (2 * step);
    EXPECT_NEAR((swept * direction).sum().item<double>(), expected, 1e-6 * std::abs(expected));
}

TEST(ParticleFeatures, MustFitTheNetwork) {
    const auto network = TorchNetwork::create(transferableModel(Head::Energy), 0, at::kDouble);
    const at::Tensor z = at::zeros({2, 15}, at::kDouble), t = at::zeros({2}, at::kDouble);
    EXPECT_THROW(network->recordScore(z, t), ShapeError);
    EXPECT_THROW(network->energy(z, t, someFeatures(2).narrow(2, 0, 2)), ShapeError);
    const auto plain = oddTransformer(Gelu::Tanh, Scaling::None, 5, at::kDouble);
    EXPECT_THROW(plain->recordScore(z, t, Record::Score, someFeatures(2)), ShapeError);
}

class TransformerSweepsTest : public ::testing::TestWithParam<std::tuple<Gelu, Scaling, int>> {};

TEST_P(TransformerSweepsTest, ScoreAndGradientAreThoseOfAutograd) {
    const auto [gelu, scaling, particles] = GetParam();
    const auto network = oddTransformer(gelu, scaling, particles, at::kDouble);
    at::manual_seed(1);
    const at::Tensor z = at::randn({4, 3 * particles}, at::kDouble),
                     u = at::randn({4, 3 * particles}, at::kDouble);
    const at::Tensor t = at::rand({4}, at::kDouble);
    const auto swept = network->recordScore(z, t), graph = network->TorchNetwork::recordScore(z, t);
    EXPECT_LE(largest(swept->getScore() - graph->getScore()), 1e-12 * largest(graph->getScore()));
    at::Tensor a = at::zeros({network->getNumParameters()}, at::kDouble), b = at::zeros_like(a);
    swept->addGradient({u, {}, {}}, a);
    graph->addGradient({u, {}, {}}, b);
    EXPECT_LE(largest(a - b), 1e-12 * largest(b));
}

INSTANTIATE_TEST_SUITE_P(Sizes, TransformerSweepsTest,
                         ::testing::Values(std::make_tuple(Gelu::Tanh, Scaling::None, 5),
                                           std::make_tuple(Gelu::Erf, Scaling::InverseSigma, 2),
                                           std::make_tuple(Gelu::Tanh, Scaling::InverseSigma, 1),
                                           std::make_tuple(Gelu::Erf, Scaling::None, 70)));

TEST(TransformerSweeps, GradientMatchesFiniteDifferences) {
    const auto network = oddTransformer(Gelu::Tanh, Scaling::None, 4, at::kDouble);
    at::manual_seed(2);
    const at::Tensor z = at::randn({3, 12}, at::kDouble), u = at::randn({3, 12}, at::kDouble);
    const at::Tensor t = at::rand({3}, at::kDouble);
    at::Tensor& parameters = network->getFlatParameters();
    const at::Tensor direction = at::randn_like(parameters), start = parameters.clone();
    const auto along = [&](double step) {
        parameters.copy_(start + step * direction);
        return (u * network->recordScore(z, t)->getScore()).sum().item<double>();
    };
    const double step = 1e-5, expected = (along(step) - along(-step)) / (2 * step);
    parameters.copy_(start);
    at::Tensor gradient = at::zeros_like(parameters);
    network->recordScore(z, t)->addGradient({u, {}, {}}, gradient);
    // Central differences err by step^2 times a third derivative of the order of the first.
    EXPECT_NEAR((gradient * direction).sum().item<double>(), expected, 1e-6 * std::abs(expected));
}

TEST(TransformerSweeps, FloatAgreesWithDouble) {
    const auto wide = oddTransformer(Gelu::Tanh, Scaling::None, 6, at::kDouble);
    const auto narrow = oddTransformer(Gelu::Tanh, Scaling::None, 6, at::kFloat);
    at::manual_seed(3);
    const at::Tensor z = at::randn({8, 18}, at::kDouble), t = at::rand({8}, at::kDouble);
    const at::Tensor expected = wide->recordScore(z, t)->getScore();
    const at::Tensor found = narrow->recordScore(z.to(at::kFloat), t)->getScore().to(at::kDouble);
    EXPECT_LT(largest(found - expected), 2e-5 * largest(expected));
}

TEST(TorchNetwork, StartsLikeFlax) {
    const ModelDescription model = describe(Space::Particles, 5, {transformerExpert(64, 1, 0.0, 1.0)});
    const auto network = TorchNetwork::create(model, 0, at::kDouble);
    network->initialize(7);
    for (std::size_t i = 0; i < network->getShapes().size(); i++) {
        const TensorShape& shape = network->getShapes()[i];
        const at::Tensor values = network->getParameters()[i].detach();
        if (shape.name.find("norm.weight") != std::string::npos)
            EXPECT_EQ(largest(values - 1), 0.0) << shape.name;
        else if (shape.shape.size() == 1)
            EXPECT_EQ(largest(values), 0.0) << shape.name;
        else if (values.numel() > 5000) {
            const double variance = values.square().mean().item<double>() * double(shape.shape[1]);
            // The variance of n numbers is known to sqrt(2/n), 2 % here.
            EXPECT_NEAR(variance, 1.0, 0.08) << shape.name;
            EXPECT_LE(largest(values), 2.0 / 0.8796 / std::sqrt(double(shape.shape[1]))) << shape.name;
        }
    }
    const at::Tensor first = network->getFlatParameters().clone();
    network->initialize(7);
    EXPECT_TRUE(at::equal(first, network->getFlatParameters()));
    network->initialize(8);
    EXPECT_FALSE(at::equal(first, network->getFlatParameters()));
}

TEST(TorchNetwork, ExportedTensorsGiveTheSameModelToThePlainEngine) {
    const ModelDescription model = describe(Space::Particles, 4, {transformerExpert(8, 2, 0.0, 1.0)});
    const auto network = TorchNetwork::create(model, 0, at::kDouble);
    network->initialize(3);
    const auto loaded = makeModel(model, network->exportTensors(network->getFlatParameters()));
    at::manual_seed(4);
    const at::Tensor z = at::randn({3, 12}, at::kDouble), t = at::rand({3}, at::kDouble);
    std::vector<double> energies(3), scores(36);
    loaded->evaluate(3, {z.data_ptr<double>(), 36}, {t.data_ptr<double>(), 3}, {}, energies.data(),
                     scores.data());
    EXPECT_LT(largest(network->energy(z, t) - at::tensor(energies, at::kDouble)), 1e-12);
    EXPECT_LT(largest(network->recordScore(z, t)->getScore() - at::tensor(scores, at::kDouble).view({3, 12})),
              1e-12);
}

} // namespace
} // namespace OpenMMScore::testing
