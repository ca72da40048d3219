#ifndef OPENMMSCORE_TRAINING_LOSSES_H_
#define OPENMMSCORE_TRAINING_LOSSES_H_

namespace OpenMMScore {

/** The parts of what is minimised. */
struct Losses {
    double scoreMatching = 0.0;
    /** With its weight. */
    double fokkerPlanck = 0.0;

    double total() const { return scoreMatching + fokkerPlanck; }
    Losses& operator+=(const Losses& other) {
        scoreMatching += other.scoreMatching;
        fokkerPlanck += other.fokkerPlanck;
        return *this;
    }
    Losses operator/(double count) const { return {scoreMatching / count, fokkerPlanck / count}; }
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_LOSSES_H_
