#ifndef OPENMMSCORE_MODELS_NOISESCHEDULE_H_
#define OPENMMSCORE_MODELS_NOISESCHEDULE_H_

#include <memory>
#include <vector>

namespace OpenMMScore {

/**
 * How clean data z_0 become noise: z_t = m(t) z_0 + sigma(t) eps with eps ~ N(0, I) and m^2 + sigma^2 = 1,
 * for a dimensionless diffusion time t in [0, 1].
 */
class NoiseSchedule {
public:
    virtual ~NoiseSchedule() = default;
    /** @return m(t), the factor left on the clean data */
    virtual double meanCoefficient(double t) const = 0;
    /** @return sigma(t), the standard deviation of the noise, accurate for t -> 0 too */
    virtual double sigma(double t) const = 0;
    /** @return whether t is one of the times at which the schedule is defined */
    virtual bool covers(double t) const = 0;
};

/**
 * The variance-preserving diffusion dz = -beta(t)/2 z dt + sqrt(beta(t)) dW, beta linear in t.
 * Source: Song et al., ICLR 2021, arXiv:2011.13456, equation 11 and appendix B.
 */
class VariancePreserving : public NoiseSchedule {
public:
    explicit VariancePreserving(double betaMin = 0.1, double betaMax = 20.0);
    /** @return beta(t) = betaMin + (betaMax - betaMin) t, which is also g(t)^2 */
    double beta(double t) const;
    /** @return ln m(t) = -betaMin t/2 - (betaMax - betaMin) t^2/4 */
    double logMeanCoefficient(double t) const;
    double meanCoefficient(double t) const override;
    double sigma(double t) const override;
    bool covers(double t) const override;

private:
    double betaMin, betaMax;
};

/**
 * A discrete diffusion of numSteps levels with the cosine schedule: level n is t = n/numSteps,
 * abar_n = prod_{k<=n} (1 - beta_k), beta_k = min(1 - f(k+1)/f(k), maxBeta),
 * f(n) = cos^2((n/numSteps + offset)/(1 + offset) pi/2).
 * Source: Nichol and Dhariwal, ICML 2021, arXiv:2102.09672, equation 17.
 */
class CosineDdpm : public NoiseSchedule {
public:
    explicit CosineDdpm(int numSteps = 1000, double offset = 0.008, double maxBeta = 0.999);
    int getNumSteps() const { return static_cast<int>(alphaBars.size()); }
    /**
     * @return n = t numSteps
     * @throws ShapeError  if that is not a level (to 1e-6 of a level)
     */
    int level(double t) const;
    double meanCoefficient(double t) const override;
    double sigma(double t) const override;
    bool covers(double t) const override;

private:
    std::vector<double> alphaBars;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_NOISESCHEDULE_H_
