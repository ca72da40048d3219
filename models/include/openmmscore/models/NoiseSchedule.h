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
    /**
     * @return -ln m(t)^2 = -ln(1 - sigma(t)^2): zero for clean data, and growing with t. Between the levels
     * of a discrete schedule, too, where it is interpolated
     */
    virtual double logDecay(double t) const = 0;
    /** @return the time at which logDecay() is that; beyond the schedule's ends, the nearest end */
    virtual double timeOf(double logDecay) const = 0;
    /** @return sigma(t), between the levels of a discrete schedule, too */
    double noiseLevel(double t) const;
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
    double logDecay(double t) const override { return -2 * logMeanCoefficient(t); }
    double timeOf(double logDecay) const override;

private:
    double betaMin, betaMax;
};

/**
 * A discrete diffusion of numSteps levels: level n is t = n/numSteps, where m^2 = abar_n and
 * sigma^2 = 1 - abar_n; abar falls with n.
 */
class LevelSchedule : public NoiseSchedule {
public:
    int getNumSteps() const { return static_cast<int>(alphaBars.size()); }
    double getAlphaBar(int level) const { return alphaBars[level]; }
    /**
     * @return n = t numSteps
     * @throws ShapeError  if that is not a level (to 1e-6 of a level)
     */
    int level(double t) const;
    /** @throws ShapeError  if t is no level */
    double meanCoefficient(double t) const override;
    /** @throws ShapeError  if t is no level */
    double sigma(double t) const override;
    bool covers(double t) const override;
    double logDecay(double t) const override;
    double timeOf(double logDecay) const override;

protected:
    explicit LevelSchedule(std::vector<double> alphaBars);

private:
    std::vector<double> alphaBars, decays;
};

/**
 * Levels with the cosine schedule: abar_n = prod_{k<=n} (1 - beta_k), beta_k = min(1 - f(k+1)/f(k), maxBeta),
 * f(n) = cos^2((n/numSteps + offset)/(1 + offset) pi/2).
 * Source: Nichol and Dhariwal, ICML 2021, arXiv:2102.09672, equation 17.
 */
class CosineDdpm : public LevelSchedule {
public:
    explicit CosineDdpm(int numSteps = 1000, double offset = 0.008, double maxBeta = 0.999);
};

/**
 * Levels with the schedule of a survey of generative models: abar_n = prod_{k<=n} a_k, a_k = p(k+1)/p(k),
 * p(n) = (1 - 2s)(1 - (n/numSteps)^2) + s, with the small number s; where a_k^2 < 1e-3 (which happens to the
 * last one), a_k = 1e-3.
 * Source: John, Herron and Tiwary, arXiv:2411.09388, in the form of the released code.
 */
class PolynomialDdpm : public LevelSchedule {
public:
    explicit PolynomialDdpm(int numSteps = 100, double precision = 1e-5);
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_NOISESCHEDULE_H_
