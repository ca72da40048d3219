#ifndef OPENMMSCORE_SAMPLING_NORMALDENSITY_H_
#define OPENMMSCORE_SAMPLING_NORMALDENSITY_H_

namespace OpenMMScore {

/** log(2 pi) / 2, what each dimension takes from the log density of a standard normal distribution. */
inline constexpr double halfLogTwoPi = 0.91893853320467274178;

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_NORMALDENSITY_H_
