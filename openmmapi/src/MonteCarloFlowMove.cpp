#include "openmmscore/MonteCarloFlowMove.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <openmm/internal/ContextImpl.h>

#include "Messages.h"
#include "openmmscore/internal/MonteCarloFlowMoveImpl.h"
#include "openmmscore/models/ModelFile.h"
#include "openmmscore/sampling/ProposalFile.h"

using OpenMM::OpenMMException;

namespace OpenMMScore {

namespace {

std::shared_ptr<const std::vector<std::uint8_t>> readBytes(const std::string& path) {
    return translateErrors([&] {
        const ModelFile file = ModelFile::read(path);
        const auto bytes = file.getBytes();
        return std::make_shared<const std::vector<std::uint8_t>>(bytes.begin(), bytes.end());
    });
}

std::shared_ptr<const Proposal> decode(const std::vector<std::uint8_t>& bytes, const std::string& origin) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return translateErrors([&] { return makeProposal(text, origin); });
}

} // namespace

MonteCarloFlowMove::MonteCarloFlowMove(const std::string& path, double temperature, int frequency)
    : MonteCarloFlowMove(readBytes(path), path, path, temperature, frequency) {
    proposalEmbedded = false;
}

MonteCarloFlowMove::MonteCarloFlowMove(std::shared_ptr<const std::vector<std::uint8_t>> bytes,
                                       const std::string& origin, const std::string& path, double temperature,
                                       int frequency)
    : MonteCarloFlowMove(decode(*bytes, origin), temperature, frequency) {
    proposalBytes = std::move(bytes);
    if (!path.empty())
        proposalFile = std::filesystem::absolute(path).lexically_normal().string();
}

MonteCarloFlowMove::MonteCarloFlowMove(std::shared_ptr<const Proposal> sharedProposal, double temperature,
                                       int frequency)
    : proposal(std::move(sharedProposal)) {
    if (proposal == nullptr)
        throw OpenMMException("MonteCarloFlowMove: there is no proposal behind the pointer");
    if (proposal->getFrame() == Proposal::Frame::Vector)
        throw OpenMMException("MonteCarloFlowMove: the proposal draws vectors of " +
                              std::to_string(proposal->getNumCoordinates()) +
                              " numbers, expected one that draws positions of particles");
    setName("MonteCarloFlowMove");
    setDefaultTemperature(temperature);
    setFrequency(frequency);
}

MonteCarloFlowMove* MonteCarloFlowMove::fromBytes(const std::vector<std::uint8_t>& bytes,
                                                  const std::string& origin, double temperature,
                                                  int frequency, const std::string& path) {
    auto kept = std::make_shared<const std::vector<std::uint8_t>>(bytes);
    return new MonteCarloFlowMove(std::move(kept), origin, path, temperature, frequency);
}

const std::string& MonteCarloFlowMove::Temperature() {
    static const std::string name = "MonteCarloFlowMoveTemperature";
    return name;
}

const std::string& MonteCarloFlowMove::LastStep() {
    static const std::string name = "MonteCarloFlowMoveLastStep";
    return name;
}

const std::string& MonteCarloFlowMove::Epoch() {
    static const std::string name = "MonteCarloFlowMoveEpoch";
    return name;
}

std::vector<std::uint8_t> MonteCarloFlowMove::getProposalBytes() const {
    if (proposalBytes != nullptr)
        return *proposalBytes;
    const std::string text = translateErrors([&] { return proposal->encode(); });
    return {text.begin(), text.end()};
}

std::string MonteCarloFlowMove::getProposalHash() const {
    return translateErrors(
        [&] { return ModelFile::fromBytes(getProposalBytes(), "proposal").computeSha256(); });
}

void MonteCarloFlowMove::setProposalEmbedded(bool embed) {
    if (!embed && proposalFile.empty())
        throw OpenMMException("MonteCarloFlowMove: the proposal came from memory, so there is no file that "
                              "XML could refer to; leave it embedded");
    proposalEmbedded = embed;
}

std::vector<int> MonteCarloFlowMove::checkedMolecule(int index, const std::vector<int>& particles) const {
    const int numParticles = static_cast<int>(particles.size());
    if (numParticles != getNumProposalParticles() || numParticles == 0)
        throw OpenMMException(joinText("MonteCarloFlowMove: molecule ", index, " has ", numParticles,
                                       " particles, the proposal draws ", getNumProposalParticles(),
                                       " (see getNumProposalParticles())"));
    std::vector<int> sorted(particles);
    std::sort(sorted.begin(), sorted.end());
    if (sorted.front() < 0)
        throw OpenMMException(
            joinText("MonteCarloFlowMove: molecule ", index, " has a particle of index ", sorted.front()));
    if (auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
        throw OpenMMException(
            joinText("MonteCarloFlowMove: molecule ", index, " has particle ", *twice, " twice"));
    return particles;
}

int MonteCarloFlowMove::addMolecule(const std::vector<int>& particles) {
    molecules.push_back(checkedMolecule(getNumMolecules(), particles));
    return getNumMolecules() - 1;
}

namespace {

void checkIndex(int index, int count) {
    if (index < 0 || index >= count)
        throw OpenMMException(
            joinText("MonteCarloFlowMove: there is no molecule ", index, ", their number is ", count));
}

} // namespace

const std::vector<int>& MonteCarloFlowMove::getMoleculeParticles(int index) const {
    checkIndex(index, getNumMolecules());
    return molecules[index];
}

void MonteCarloFlowMove::setMoleculeParticles(int index, const std::vector<int>& particles) {
    checkIndex(index, getNumMolecules());
    molecules[index] = checkedMolecule(index, particles);
}

void MonteCarloFlowMove::setDefaultTemperature(double temperature) {
    if (!(temperature > 0) || std::isinf(temperature))
        throw OpenMMException(joinText("MonteCarloFlowMove: the temperature is ", temperature,
                                       " K, it must be positive and finite"));
    defaultTemperature = temperature;
}

void MonteCarloFlowMove::setFrequency(int steps) {
    if (steps < 0)
        throw OpenMMException(joinText("MonteCarloFlowMove: the frequency is ", steps,
                                       " steps; give a positive number, or 0 for no moves"));
    frequency = steps;
}

MonteCarloFlowMove::Statistics MonteCarloFlowMove::getStatistics(OpenMM::Context& context,
                                                                 int molecule) const {
    const auto& impl = dynamic_cast<const MonteCarloFlowMoveImpl&>(getImplInContext(context));
    if (molecule != -1)
        checkIndex(molecule, impl.getNumMolecules());
    return impl.getStatistics(molecule);
}

std::int64_t MonteCarloFlowMove::getNumAttempted(OpenMM::Context& context, int molecule) const {
    return getStatistics(context, molecule).attempted;
}

std::int64_t MonteCarloFlowMove::getNumAccepted(OpenMM::Context& context, int molecule) const {
    return getStatistics(context, molecule).accepted;
}

std::int64_t MonteCarloFlowMove::getNumInvalid(OpenMM::Context& context, int molecule) const {
    return getStatistics(context, molecule).invalid;
}

double MonteCarloFlowMove::getExpectedAcceptance(OpenMM::Context& context, int molecule) const {
    return getStatistics(context, molecule).expectedAcceptance;
}

std::string MonteCarloFlowMove::getLastInvalidReason(OpenMM::Context& context) const {
    return dynamic_cast<const MonteCarloFlowMoveImpl&>(getImplInContext(context)).getLastInvalidReason();
}

void MonteCarloFlowMove::resetStatistics(OpenMM::Context& context) {
    dynamic_cast<MonteCarloFlowMoveImpl&>(getImplInContext(context)).resetStatistics();
}

OpenMM::ForceImpl* MonteCarloFlowMove::createImpl() const {
    return new MonteCarloFlowMoveImpl(*this);
}

} // namespace OpenMMScore
