#ifndef OPENMMSCORE_MODELS_MODELDESCRIPTIONNAMES_H_
#define OPENMMSCORE_MODELS_MODELDESCRIPTIONNAMES_H_

#include <string_view>
#include <utility>

#include "openmmscore/models/ModelDescription.h"

// The words that stand for enumerators in a model file's document, shared by reader and writer.

namespace OpenMMScore {

template <class Value>
using Word = std::pair<std::string_view, Value>;

inline constexpr Word<ModelDescription::Space> spaceWords[] = {
    {"particles", ModelDescription::Space::Particles}, {"vector", ModelDescription::Space::Vector}};
inline constexpr Word<ScheduleDescription::Kind> scheduleWords[] = {
    {"variance-preserving", ScheduleDescription::Kind::VariancePreserving},
    {"cosine-ddpm", ScheduleDescription::Kind::CosineDdpm},
    {"polynomial-ddpm", ScheduleDescription::Kind::PolynomialDdpm}};
inline constexpr Word<ExpertDescription::Architecture> architectureWords[] = {
    {"mlp", ExpertDescription::Architecture::Mlp},
    {"graph-transformer", ExpertDescription::Architecture::GraphTransformer}};
inline constexpr Word<Head> headWords[] = {{"energy", Head::Energy}, {"score", Head::Score}};
inline constexpr Word<TimeFeatures> timeFeatureWords[] = {{"fourier", TimeFeatures::Fourier},
                                                          {"fourier-rescaled", TimeFeatures::FourierRescaled},
                                                          {"linear", TimeFeatures::Linear}};
inline constexpr Word<Scaling> scalingWords[] = {
    {"none", Scaling::None}, {"inverse-sigma", Scaling::InverseSigma}, {"clean-data", Scaling::CleanData}};
inline constexpr Word<Gelu> geluWords[] = {{"tanh", Gelu::Tanh}, {"erf", Gelu::Erf}};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_MODELDESCRIPTIONNAMES_H_
