#ifndef OPENMMSCORE_TRAINING_PROPOSALCONFIG_H_
#define OPENMMSCORE_TRAINING_PROPOSALCONFIG_H_

#include <cstdint>
#include <vector>

#include "openmmscore/sampling/ContinuousFlow.h"
#include "openmmscore/sampling/SplineFlowDescription.h"

namespace OpenMMScore {

/** A proposal that is to be trained. */
struct ProposalConfig {
    enum class Family {
        /** none: the run trains a model */
        None,
        SplineFlow,
        ContinuousFlow
    };
    /** Of what the flow is a density: plain numbers, positions relative to their centroid, or bonds, angles
     * and torsions (FlowCoordinates.h). */
    enum class Coordinates { Vector, Cartesian, Internal };

    Family family = Family::None;
    Coordinates coordinates = Coordinates::Vector;
    /** Indices of coordinates that are angles in radians, of plain numbers alone; or all of them. */
    std::vector<std::int64_t> circular;
    bool allCircular = false;
    /** A coordinate that is confined to an interval. */
    struct Boxed {
        std::int64_t coordinate;
        double lower, upper;
    };
    /** Of plain numbers alone, in ascending order; SplineFlowDescription::box has the same coordinates. */
    std::vector<Boxed> boxed;
    /** Particles that are alike, in lists; each time a frame is used, those of a list are renamed in a cycle,
     * by a number of places that is drawn. Not of plain numbers. */
    std::vector<std::vector<std::int64_t>> cycles;
    /** What each of so many layers is like. Which coordinates it transforms is drawn. */
    SplineFlowDescription::Layer layer;
    std::int64_t numLayers = 8;
    std::uint64_t permutationSeed = 1;
    /** The flow's other settings; its dimension, coordinates and layers follow. */
    SplineFlowDescription flow;

    /** Of a continuous flow: everything but its frame and the number of node features, and how its paths are
     * drawn (FlowMatchingObjective.h): pairs within blocks of so many, 0 for none, whether frames are turned
     * onto their base samples, and sigma. */
    ContinuousFlowDescription continuous;
    std::int64_t pairing = 256;
    bool align = false;
    double sigma = 0.0;
    /** FlowPaths.h */
    enum class Paths { Straight, Diffusion };
    Paths paths = Paths::Straight;
    /** Of an EGNN: which kind each particle is, from 0; empty if each is a kind of its own. */
    std::vector<std::int64_t> kinds;

    explicit operator bool() const { return family != Family::None; }
    /** @return whether some coordinates may be circular; how many there are of internal ones, frames say */
    bool hasAngles() const {
        return allCircular || !circular.empty() || coordinates == Coordinates::Internal;
    }
    /** @return whether the flow's network is one of particles, whose positions must all have the same scale
     */
    bool hasParticleNetwork() const {
        return family == Family::ContinuousFlow &&
               continuous.network != ContinuousFlowDescription::Network::Mlp;
    }
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_PROPOSALCONFIG_H_
