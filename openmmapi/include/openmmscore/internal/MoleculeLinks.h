#ifndef OPENMMSCORE_INTERNAL_MOLECULELINKS_H_
#define OPENMMSCORE_INTERNAL_MOLECULELINKS_H_

#include <vector>

#include "openmmscore/OpenMMScoreExport.h"
#include "openmmscore/models/ModelDescription.h"

namespace OpenMMScore {

/** One particle of a molecule, and the neighbour from which it is reached. */
struct MoleculeLink {
    int particle;
    int neighbour;
};

/**
 * A tree that reaches every particle of a molecule from its first: along the model's bonds, breadth first,
 * and from the particle before where no bond leads. A model without bonds gives a chain.
 *
 * @return shape [getNumParticles() - 1], indices within the molecule; a neighbour is the first particle
 *         or the particle of an earlier link
 */
OPENMMSCORE_EXPORT std::vector<MoleculeLink> moleculeLinks(const ModelDescription& model);

} // namespace OpenMMScore

#endif // OPENMMSCORE_INTERNAL_MOLECULELINKS_H_
