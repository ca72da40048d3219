#ifndef OPENMMSCORE_MODELS_FASTEVALUATOR_H_
#define OPENMMSCORE_MODELS_FASTEVALUATOR_H_

#include <cstddef>
#include <memory>
#include <span>

#include "openmmscore/models/Evaluator.h"
#include "openmmscore/models/ScoreModel.h"

namespace OpenMMScore {

/**
 * An Evaluator that computes in float32 with the processor's vector instructions (SSE4, AVX2, AVX-512 or
 * portable code, chosen when first used).
 *
 * Everything that is constant at one diffusion time is folded in float64 and rounded once; molecules are
 * evaluated in blocks, so that weights stream through the cache once per block. Results agree with the plain
 * engine to float32 rounding, and differ between instruction sets by as much.
 */
class FastEvaluator : public Evaluator {
public:
    /**
     * Go on to another diffusion time: only what depends on it is folded again, which for a sampler that
     * visits a thousand times is a small part of the cost of the first folding.
     *
     * @param model  the one that this evaluator was made for
     * @param t      diffusion time; times outside the model's interval count as its nearest end
     * @return false, and nothing has changed, if other experts than so far answer at t
     * @throws ShapeError  as ScoreModel::createEvaluator() does
     */
    virtual bool setTime(const ScoreModel& model, double t) = 0;
    /**
     * @return floating-point operations of one molecule's energy and score, a multiply-add counting as two:
     *         matrix products of the folded network only, not what folding has saved, nor activations
     */
    virtual double getOperationsPerMolecule() const = 0;
    /** @return bytes of the folded weights, shared by all threads */
    virtual std::size_t getNumWeightBytes() const = 0;
    /** @return bytes that each thread works in */
    virtual std::size_t getNumThreadBytes() const = 0;
};

/**
 * Prepare the evaluation of a fixed set of molecules at one diffusion time with the fused engine.
 *
 * @param model         need not outlive the result
 * @param t             diffusion time; times outside the model's interval count as its nearest end
 * @param features      shape [numMolecules, count, features]; empty for a model without features
 * @param numMolecules  how many molecules there are
 * @param numThreads    how many threads may evaluate at once, each with its own index
 * @throws ShapeError  as ScoreModel::createEvaluator() does
 */
std::unique_ptr<FastEvaluator> createFastEvaluator(const ScoreModel& model, double t,
                                                   std::span<const int> features, int numMolecules,
                                                   int numThreads);

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_FASTEVALUATOR_H_
