#ifndef OPENMMSCORE_TRAINING_LOSSES_H_
#define OPENMMSCORE_TRAINING_LOSSES_H_

#include <string>

namespace OpenMMScore {

/** The parts of what is minimised. */
struct Losses {
    double main = 0.0;
    /** What is added to it, with its weight. */
    double penalty = 0.0;

    double total() const { return main + penalty; }
    Losses& operator+=(const Losses& other) {
        main += other.main;
        penalty += other.penalty;
        return *this;
    }
    Losses operator/(double count) const { return {main / count, penalty / count}; }
};

/** What they are called: in files, and the penalty on the screen. Without a penalty its names are empty. */
struct LossNames {
    std::string main, penalty, penaltyTitle;

    bool hasPenalty() const { return !penalty.empty(); }
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_LOSSES_H_
