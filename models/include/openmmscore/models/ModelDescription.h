#ifndef OPENMMSCORE_MODELS_MODELDESCRIPTION_H_
#define OPENMMSCORE_MODELS_MODELDESCRIPTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace OpenMMScore {

class ModelFile;
class NoiseSchedule;

/** What a network gives: a scalar whose gradient is the score, or the score itself. */
enum class Head { Energy, Score };

/** Which numbers a network is told about the diffusion time. */
enum class TimeFeatures {
    /** t - (t1-t0)/2, cos 2 pi t, sin 2 pi t, -cos 4 pi t */
    Fourier,
    /** Fourier, then cos 2 pi u, sin 2 pi u, -cos 4 pi u with u = (t-t0)/(t1-t0) */
    FourierRescaled,
    /** t alone */
    Linear
};

enum class Gelu { Tanh, Erf };
enum class Scaling { None, InverseSigma, CleanData };

/** A multilayer perceptron on [coordinates, time features] with swish between its layers. */
struct MlpDescription {
    std::vector<int> hidden;

    bool operator==(const MlpDescription&) const = default;
};

/** A graph transformer on difference vectors of particles (specification: docs/physics.md). */
struct GraphTransformerDescription {
    int hidden = 0;
    int layers = 0;
    int heads = 8;
    int headSize = 64;
    /** Width of the hidden layer of the feed-forward part. */
    int feedForward = 0;
    double layerNormEpsilon = 1e-6;
    Gelu gelu = Gelu::Tanh;
    /** Width of each embedding; unused when the model has no features (one-hot identity instead). */
    int embeddingWidth = 0;

    bool operator==(const GraphTransformerDescription&) const = default;
};

/** One network and the diffusion times that it answers for. */
struct ExpertDescription {
    enum class Architecture { Mlp, GraphTransformer };
    Architecture architecture = Architecture::Mlp;
    MlpDescription mlp;
    GraphTransformerDescription graphTransformer;
    Head head = Head::Energy;
    /** Closed interval; a network asked about a t outside is told the nearest end. */
    double lowerTime = 0.0, upperTime = 1.0;
    TimeFeatures timeFeatures = TimeFeatures::Fourier;
    /**
     * With o the network's output and s = outputSign, divided by sigma(t) when scaling says so:
     * energy head: reduced energy e = s o, score = -grad e; score head: score = s o. With the scaling
     * CleanData a perceptron's score head predicts clean data: score = (m(t) s o - z)/sigma(t)^2.
     */
    int outputSign = 1;
    Scaling scaling = Scaling::None;

    bool operator==(const ExpertDescription&) const = default;
};

/** One integer that a transferable network must be told about every particle, and its range. */
struct FeatureDescription {
    std::string name;
    int numValues = 0;

    bool operator==(const FeatureDescription&) const = default;
};

/** One particle of the molecule; what an OpenMM Topology and System need to know. */
struct ParticleDescription {
    std::string name;
    /** Chemical symbol, or empty for a bead that is no atom. */
    std::string element;
    /** amu */
    double mass = 0.0;
    std::string residue;
    int residueIndex = 0;

    bool operator==(const ParticleDescription&) const = default;
};

struct ScheduleDescription {
    enum class Kind { VariancePreserving, CosineDdpm, PolynomialDdpm };
    Kind kind = Kind::VariancePreserving;
    double betaMin = 0.1, betaMax = 20.0;
    /** Of both discrete schedules. */
    int numSteps = 1000;
    double offset = 0.008, maxBeta = 0.999;
    double precision = 1e-5;

    bool isDiscrete() const { return kind != Kind::VariancePreserving; }
    std::unique_ptr<NoiseSchedule> create() const;

    bool operator==(const ScheduleDescription&) const = default;
};

/**
 * Everything that a model file says beside its weights; docs/model-format.md lists the fields.
 */
struct ModelDescription {
    static constexpr int currentVersion = 1;

    std::string title;
    /** Particles: coordinates are [N,3]. Vector: a plain vector of d numbers. */
    enum class Space { Particles, Vector };
    Space space = Space::Particles;
    /** N, or d. */
    int count = 0;
    /** nm for one unit of the network's coordinates: z = x / lengthScale. */
    double lengthScale = 1.0;
    /** K, of the training data. */
    double temperature = 300.0;
    /** The diffusion time at which the model serves as a potential unless told otherwise. */
    double defaultDiffusionTime = 0.0;
    ScheduleDescription schedule;
    std::vector<FeatureDescription> features;
    /** By descending times, without gaps; neighbours share an end. */
    std::vector<ExpertDescription> experts;
    /** Empty, or one for each particle (for a vector model: for each particle whose coordinates it sees). */
    std::vector<ParticleDescription> particles;
    std::vector<std::pair<int, int>> bonds;
    /** The training's own account of itself, a JSON object; "{}" if unknown. */
    std::string provenance = "{}";

    /** @return 3N, or d */
    int getNumCoordinates() const { return space == Space::Particles ? 3 * count : count; }
    /** @return N, or the number of particles of which a vector of d numbers needs coordinates: ceil(d/3) */
    int getNumParticles() const { return space == Space::Particles ? count : (count + 2) / 3; }
    /** @return the ends of the time interval that the experts cover together; there must be one at least */
    double getLowerTime() const { return experts.back().lowerTime; }
    double getUpperTime() const { return experts.front().upperTime; }

    /**
     * @param document  the JSON document of a model file
     * @param origin    what to call the file in messages
     * @throws ModelFileError  naming the field, if one is missing, unknown, of the wrong type, out of
     *                         range or at odds with another
     */
    static ModelDescription fromJson(const std::string& document, const std::string& origin);
    /**
     * @return the document; fromJson() gives back an equal description, but for spaces and the order of keys
     *         in its provenance
     * @throws ModelFileError  if fromJson() would refuse the document
     */
    std::string toJson() const;

    bool operator==(const ModelDescription&) const = default;
};

/** The name and the shape of every tensor that an expert needs. */
struct TensorShape {
    std::string name;
    std::vector<std::int64_t> shape;
};

/**
 * @param index  of the expert in model.experts; its tensors' names begin with "experts.<index>."
 * @return the tensors, in the order in which docs/model-format.md lists them
 */
std::vector<TensorShape> expertTensors(const ModelDescription& model, int index);

/**
 * Check that a file holds the tensors of all experts, in their shapes, and no others. Their values are not
 * looked at; ModelFile::readTensor() does that.
 *
 * @throws ModelFileError  naming the tensor
 */
void checkTensors(const ModelDescription& model, const ModelFile& file);

/** @return how many numbers a network is told about the time: 4, 7 or 1 */
int numTimeFeatures(TimeFeatures kind);

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_MODELDESCRIPTION_H_
