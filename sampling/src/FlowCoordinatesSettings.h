#ifndef OPENMMSCORE_SAMPLING_FLOWCOORDINATESSETTINGS_H_
#define OPENMMSCORE_SAMPLING_FLOWCOORDINATESSETTINGS_H_

#include "CheckedJson.h"
#include "openmmscore/sampling/FlowCoordinates.h"

namespace OpenMMScore {

/** The object settings.coordinates of a proposal file. */
nlohmann::json flowCoordinatesToJson(const FlowCoordinates& coordinates);

/** @throws ModelFileError  if it is none, or describes no coordinates */
FlowCoordinates flowCoordinatesFromJson(const JsonField& field);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_FLOWCOORDINATESSETTINGS_H_
