#ifndef OPENMMSCORE_TRAINING_DEVICE_H_
#define OPENMMSCORE_TRAINING_DEVICE_H_

#include <string>

#include <c10/core/Device.h>

namespace OpenMMScore {

/**
 * @param name   "cpu", "cuda", or a device that whoever calls has given LibTorch
 * @param index  which of them, taken round if there are fewer
 * @throws Error  if LibTorch has no such device here
 */
c10::Device openDevice(const std::string& name, int index = 0);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_DEVICE_H_
