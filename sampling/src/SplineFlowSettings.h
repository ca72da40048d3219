#ifndef OPENMMSCORE_SAMPLING_SPLINEFLOWSETTINGS_H_
#define OPENMMSCORE_SAMPLING_SPLINEFLOWSETTINGS_H_

#include "CheckedJson.h"
#include "openmmscore/sampling/SplineFlowDescription.h"

namespace OpenMMScore {

/** @return the object that writeSplineFlowSettings() turns into text */
nlohmann::json splineFlowToJson(const SplineFlowDescription& description);

/** @throws ModelFileError  if it is not such an object, or describes no flow */
SplineFlowDescription splineFlowFromJson(const JsonField& field);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_SPLINEFLOWSETTINGS_H_
