#ifndef OPENMMSCORE_TESTS_MODELDOCUMENTS_H_
#define OPENMMSCORE_TESTS_MODELDOCUMENTS_H_

#include <string>

namespace OpenMMScore::testing {

/** A vector model; the tests replace parts of it. */
inline const std::string vectorDocument = R"({
  "format_version": 1, "title": "wells", "space": "vector", "count": 2, "length_scale": 1, "temperature": 300,
  "default_diffusion_time": 1e-5,
  "schedule": {"kind": "variance-preserving", "beta_min": 0.1, "beta_max": 20.0},
  "features": [],
  "experts": [
    {"architecture": "mlp", "interval": [0.1, 1], "head": "score", "time_features": "fourier-rescaled",
     "output_sign": 1, "output_scaling": "none", "hidden": [8, 9]},
    {"architecture": "mlp", "interval": [0, 0.1], "head": "energy", "time_features": "linear",
     "output_sign": -1, "output_scaling": "inverse-sigma", "hidden": [7]}],
  "particles": [{"name": "A", "element": "", "mass": 1, "residue": "WEL", "residue_index": -3}],
  "bonds": [], "provenance": {"loss": 0.5}})";

/** A transferable model of four particles. */
inline const std::string particleDocument = R"({
  "format_version": 1, "title": "peptide", "space": "particles", "count": 4, "length_scale": 0.3, "temperature": 310,
  "default_diffusion_time": 0.02,
  "schedule": {"kind": "cosine-ddpm", "steps": 1000, "offset": 0.008, "max_beta": 0.999},
  "features": [{"name": "residue", "num_values": 20}, {"name": "atom", "num_values": 5}],
  "experts": [
    {"architecture": "graph-transformer", "interval": [0, 1], "head": "energy", "time_features": "fourier",
     "output_sign": -1, "output_scaling": "inverse-sigma", "hidden": 6, "layers": 1, "heads": 2, "head_size": 5,
     "feed_forward": 24, "layer_norm_epsilon": 1e-5, "gelu": "erf", "embedding_width": 16}],
  "particles": [], "bonds": [[0, 1], [2, 1], [2, 3]], "provenance": {}})";

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_MODELDOCUMENTS_H_
