#include "openmmscore/ScoreForce.h"
#include "openmmscore/internal/ScoreForceImpl.h"
#include "openmmscore/internal/ScoreLangevinKernels.h"

namespace OpenMMScore {

MoleculeTable MoleculeTable::create(const OpenMM::System& system,
                                    const std::vector<ScoreForceImpl*>& forces) {
    MoleculeTable table;
    table.places.assign(system.getNumParticles(), Place{-1, -1});
    auto add = [&](int particle, int molecule) {
        std::vector<int>& members = table.molecules[molecule];
        table.places[particle] = Place{molecule, static_cast<int>(members.size())};
        members.push_back(particle);
    };
    for (const ScoreForceImpl* force : forces) {
        std::vector<int> forceMolecules;
        for (int m = 0; m < force->getNumMolecules(); m++) {
            // Several forces may act on one molecule; the first decides its number.
            const std::span<const int> particles = force->getMoleculeParticles(m);
            int molecule = -1;
            for (int particle : particles)
                if (molecule == -1)
                    molecule = table.places[particle].molecule;
            if (molecule == -1) {
                molecule = static_cast<int>(table.molecules.size());
                table.molecules.emplace_back();
            }
            bool together = true;
            for (int particle : particles) {
                if (table.places[particle].molecule == -1)
                    add(particle, molecule);
                together = together && table.places[particle].molecule == molecule;
            }
            forceMolecules.push_back(together ? molecule : -1);
        }
        table.forceMolecules.push_back(std::move(forceMolecules));
    }
    for (int particle = 0; particle < system.getNumParticles(); particle++)
        if (table.places[particle].molecule == -1) {
            table.molecules.emplace_back();
            add(particle, static_cast<int>(table.molecules.size()) - 1);
        }
    return table;
}

} // namespace OpenMMScore
