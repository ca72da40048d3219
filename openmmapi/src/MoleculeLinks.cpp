#include "openmmscore/internal/MoleculeLinks.h"

namespace OpenMMScore {

std::vector<MoleculeLink> moleculeLinks(const ModelDescription& model) {
    const int numParticles = model.getNumParticles();
    std::vector<std::vector<int>> neighbours(numParticles);
    for (const auto& [i, j] : model.bonds) {
        neighbours[i].push_back(j);
        neighbours[j].push_back(i);
    }
    std::vector<MoleculeLink> links;
    std::vector<bool> reached(numParticles, false);
    std::vector<int> queue;
    for (int start = 0; start < numParticles; start++) {
        if (reached[start])
            continue;
        reached[start] = true;
        if (start > 0)
            links.push_back({start, start - 1});
        queue.assign(1, start);
        for (std::size_t next = 0; next < queue.size(); next++)
            for (int particle : neighbours[queue[next]])
                if (!reached[particle]) {
                    reached[particle] = true;
                    links.push_back({particle, queue[next]});
                    queue.push_back(particle);
                }
    }
    return links;
}

} // namespace OpenMMScore
