#ifndef OPENMMSCORE_TRAINING_DEVICE_H_
#define OPENMMSCORE_TRAINING_DEVICE_H_

#include <string>

#include <c10/core/Device.h>

namespace OpenMMScore {

/**
 * @param name  "cpu" or "cuda"
 * @throws Error  if LibTorch has no such device here
 */
c10::Device openDevice(const std::string& name);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_DEVICE_H_
