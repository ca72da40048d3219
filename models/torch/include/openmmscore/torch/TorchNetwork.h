#ifndef OPENMMSCORE_TORCH_TORCHNETWORK_H_
#define OPENMMSCORE_TORCH_TORCHNETWORK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "openmmscore/models/ModelDescription.h"
#include "openmmscore/models/ModelFile.h"
#include "openmmscore/models/NoiseSchedule.h"

namespace OpenMMScore {

/** What is to be computed beside the score. */
enum class Record {
    Score,
    /** the energy too */
    Energy,
    /** the energy and its derivative with respect to the diffusion time too */
    EnergyRate
};

/** Derivatives of a loss with respect to what a network computed; undefined ones count as zero. */
struct Cotangents {
    /** shape [batch, coordinates] */
    at::Tensor score;
    /** shape [batch] each; only of what was recorded */
    at::Tensor energy, energyRate;
};

/** A score that was computed in such a way that a loss of it can be differentiated. */
class RecordedScore {
public:
    virtual ~RecordedScore() = default;
    /** @return shape [batch, coordinates] */
    virtual at::Tensor getScore() const = 0;
    /** @return shape [batch]: the reduced energy e, score = -de/dz; undefined unless recorded */
    virtual at::Tensor getEnergy() const = 0;
    /** @return shape [batch]: de/dt at fixed z; undefined unless recorded */
    virtual at::Tensor getEnergyRate() const = 0;
    /**
     * Add the derivative of a loss with respect to all parameters. To be called once.
     *
     * @param gradient  shape [number of parameters]
     */
    virtual void addGradient(const Cotangents& cotangents, at::Tensor& gradient) = 0;
};

/**
 * The network of one expert as differentiable LibTorch operations, for training. The numbers it computes are
 * those of the plain engine (Network), the tensors have the names and shapes of the model file.
 *
 * All parameters lie one after another in one flat tensor, of which the named ones are views: an optimiser,
 * an average or a clip is then one operation on one tensor.
 */
class TorchNetwork {
public:
    /**
     * Make the network that model.experts[expert] describes, with all parameters zero.
     *
     * @param options  dtype (float32 or float64) and device
     */
    static std::unique_ptr<TorchNetwork> create(const ModelDescription& model, int expert,
                                                const at::TensorOptions& options);
    virtual ~TorchNetwork();
    TorchNetwork(const TorchNetwork&) = delete;
    TorchNetwork& operator=(const TorchNetwork&) = delete;

    /**
     * Fill the parameters with fresh random numbers in the manner of Flax: weights LeCun normal (truncated at
     * two standard deviations), biases zero, embeddings normal with variance 1/width, layer norms the
     * identity.
     */
    void initialize(std::uint64_t seed);
    /** @return the flat tensor of all parameters; writing to it changes the network */
    at::Tensor& getFlatParameters() { return flat; }
    const at::Tensor& getFlatParameters() const { return flat; }
    /** @return the named parameters, in the order of expertTensors(): leaves of the graph that autograd
     * builds */
    const std::vector<at::Tensor>& getParameters() const { return parameters; }
    const std::vector<TensorShape>& getShapes() const { return shapes; }
    std::int64_t getNumParameters() const { return flat.numel(); }
    bool hasEnergy() const { return expert.head == Head::Energy; }
    const ExpertDescription& getExpert() const { return expert; }
    int getNumCoordinates() const { return numCoordinates; }

    /**
     * @param flatValues  shape [getNumParameters()]: the values to write, for instance an average of
     * parameters
     * @return the tensors of a model file
     */
    std::vector<NamedTensor> exportTensors(const at::Tensor& flatValues) const;
    /** Take the parameters over from tensors of a model file, given in the order of getShapes(). */
    void importTensors(const std::vector<std::vector<double>>& values);

    /**
     * @param z  shape [batch, getNumCoordinates()]
     * @param t  shape [batch], float64: diffusion times
     * @param particleFeatures  shape [batch, particles, features], int64, for a network that is told about
     *                          its particles; otherwise undefined
     * @return shape [batch]: reduced energies
     * @throws ShapeError  if the expert has a score head, or particleFeatures do not fit
     */
    at::Tensor energy(const at::Tensor& z, const at::Tensor& t,
                      const at::Tensor& particleFeatures = {}) const;
    /**
     * @param z, t, particleFeatures  as for energy(); a time outside the expert's interval counts as its
     * nearest end, so that the energy's rate is zero there
     * @return the score, ready for addGradient(). Different threads may do this at once, each with its own
     * result
     * @throws ShapeError  if particleFeatures do not fit, an energy is asked of a score head, or the rate of
     * a network whose output is divided by sigma(t)
     */
    virtual std::unique_ptr<RecordedScore> recordScore(const at::Tensor& z, const at::Tensor& t,
                                                       Record what = Record::Score,
                                                       const at::Tensor& particleFeatures = {}) const;

protected:
    TorchNetwork(const ModelDescription& model, int expert, const at::TensorOptions& options);
    /**
     * @param features  shape [batch, number of time features]
     * @param particleFeatures  as for energy()
     * @return the network's output o: shape [batch] or, with a score head, [batch, getNumCoordinates()]
     */
    virtual at::Tensor forward(const at::Tensor& z, const at::Tensor& features,
                               const at::Tensor& particleFeatures) const = 0;
    /** @return the numbers that the network is told about each time, shape [batch, number of time features]
     */
    at::Tensor timeFeatures(const at::Tensor& t) const;
    /** @return their derivatives with respect to t */
    at::Tensor timeFeatureRates(const at::Tensor& t) const;
    /** @throws ShapeError  as recordScore() */
    void checkCanRecord(Record what) const;
    /** @return shape [batch]: what the output is multiplied by, the sign and perhaps 1/sigma(t) or m/sigma^2
     */
    at::Tensor outputScale(const at::Tensor& t) const;
    /** @return what a score head's output so scaled is added to: zero, or -z/sigma^2 where it is clean data
     */
    at::Tensor positionTerm(const at::Tensor& z, const at::Tensor& t) const;
    /** @return views of a flat tensor like getFlatParameters(), in the order and shapes of getShapes() */
    std::vector<at::Tensor> viewsOf(const at::Tensor& flatTensor) const;
    /** @return the parameter whose name ends in this, after "experts.<k>." */
    const at::Tensor& parameter(const std::string& name) const;

private:
    ExpertDescription expert;
    std::unique_ptr<NoiseSchedule> schedule;
    std::string prefix;
    int numCoordinates;
    std::vector<TensorShape> shapes;
    at::Tensor flat;
    std::vector<at::Tensor> parameters;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TORCHNETWORK_H_
