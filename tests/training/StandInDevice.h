#ifndef OPENMMSCORE_TESTS_TRAINING_STANDINDEVICE_H_
#define OPENMMSCORE_TESTS_TRAINING_STANDINDEVICE_H_

#include <cstdint>

namespace OpenMMScore::testing {

/**
 * Give LibTorch one more device, of which it believes what it believes of a GPU: its tensors mix with those
 * of the processor nowhere, and code that reads or writes their memory itself ends with a segmentation fault.
 * It computes every operation on the processor, by copies, so that the results can be compared. What a GPU
 * may not do at all, or in another order of sums, it cannot show.
 *
 * Call it once before the first use of the device "privateuseone", the name that LibTorch keeps for such
 * things.
 */
void openStandInDevice();

/** @return how many operations it has computed */
std::int64_t getNumStandInOperations();

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_TRAINING_STANDINDEVICE_H_
