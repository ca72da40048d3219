#ifndef OPENMMSCORE_TRAINING_FLOWPATHS_H_
#define OPENMMSCORE_TRAINING_FLOWPATHS_H_

#include <vector>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/training/ProposalConfig.h"

namespace OpenMMScore {

/**
 * The paths from base samples u_0 to frames u_1 that a velocity is fitted to. u_0 is standard normal, and
 * uniform from -pi to pi of circular coordinates. At the time t, with eps ~ N(0, I),
 *
 *     Straight   u_t = (1 - t) u_0 + t u_1 + sigma eps,    du/dt = u_1 - u_0
 *     Diffusion  u_t = s u_0 + a u_1 + sigma eps,          du/dt = (pi/2) (s u_1 - a u_0),
 *                a = sin(pi t/2), s = cos(pi t/2)
 *
 * and the mean of du/dt among the paths through a point is the velocity. That of Diffusion is the probability
 * flow of a variance-preserving diffusion, its time reversed, with the cosine as its schedule: fitting it is
 * the prediction of "v" (Salimans and Ho, ICLR 2022, arXiv:2202.00512; Lipman et al., arXiv:2210.02747,
 * section 4.1). Where data are standard normal it is zero, so that only what they are besides must be learnt.
 * Circular coordinates go the shorter way round at even speed, in both.
 */
class FlowPaths {
public:
    using Kind = ProposalConfig::Paths;

    FlowPaths(Kind kind, double sigma, std::vector<bool> isCircular);

    /** Draw a base sample, and then normal numbers. @param u0, eps  written: [d] */
    void draw(CounterRandom& random, double* u0, double* eps) const;
    /**
     * @param eps   [d], of draw()
     * @param u     written: [d]; circular coordinates may be anywhere
     * @param rate  written: [d], du/dt
     */
    void follow(double t, const double* u0, const double* u1, const double* eps, double* u,
                double* rate) const;
    /** @return the squared length of the shortest straight way */
    double squaredDistance(const double* u0, const double* u1) const;
    bool hasCircular() const;

private:
    Kind kind;
    double sigma;
    std::vector<bool> isCircular;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_FLOWPATHS_H_
