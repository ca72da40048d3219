// MonteCarloFlowMove, with Python's proposals, arrays, paths and units around the C++ class.

%feature("docstring") OpenMMScore::MonteCarloFlowMove "
Monte Carlo moves that replace whole molecules by independent draws from a proposal, while a simulation runs.

Every getFrequency() steps each molecule in turn is offered a configuration x' drawn from the proposal's density
q, the rest of the System staying where it is. With the energy U of the whole System it is accepted with
probability

    min(1, exp(-(U(x') - U(x))/kT) q(x)/q(x'))

so the System's distribution is kept exactly, however poor the proposal is. A proposal of the frame 'absolute'
gives the new positions as they are; for the frame 'centred' the molecule's centre of mass stays. Accepted
molecules get new velocities. The moved particles must have mass and no constraints. Works with every platform
and all integrators but RPMDIntegrator; the temperature must be that of the integrator.

Parameters
----------
proposal : str, os.PathLike or openmmscore.Proposal
    a proposal's file, read and checked here, or a proposal that is already there. XML refers to a file by its
    path and SHA-256, and holds a proposal from memory
temperature : float or Quantity
    in kelvin
frequency : int
    moves are tried every so many steps; 0 switches them off

Raises
------
openmm.OpenMMException
    if the file is missing or damaged, the temperature not positive, or the frequency negative

Example
-------
>>> move = MonteCarloFlowMove('flow.safetensors', 300*kelvin, 500)
>>> move.addMolecule(range(22))
0
>>> system.addForce(move)
0
";

%feature("docstring") OpenMMScore::MonteCarloFlowMove::Temperature
    "Return 'MonteCarloFlowMoveTemperature': the Context parameter that holds the temperature in kelvin.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::LastStep
    "Return 'MonteCarloFlowMoveLastStep': the Context parameter with the step of the last moves. Do not set it.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::Epoch "
Return 'MonteCarloFlowMoveEpoch': the Context parameter that counts how often the step count was set back.

Do not set it. It makes the random numbers new ones then.
";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getProposalFile
    "Return the absolute path of the proposal's file; empty for one that came from memory.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getProposalHash
    "Return the SHA-256 of the proposal's file: 64 lower-case hexadecimal digits.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getProposalEmbedded
    "Return whether XML holds the bytes of the proposal's file (default: False for a file, else True).";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::setProposalEmbedded
    "Choose what XML holds: the bytes of the proposal's file (True), or its path and SHA-256 (False).";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getNumProposalParticles
    "Return how many particles a molecule has.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getNumMolecules
    "Return how many molecules there are.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getDefaultTemperature
    "Return the temperature in a new Context, a Quantity in kelvin.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::setDefaultTemperature "
Set the temperature in a new Context; in an existing one it changes by Context.setParameter().

Parameters
----------
temperature : float or Quantity
    in kelvin; all Forces of this kind in a System must have the same
";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getFrequency
    "Return every how many steps moves are tried; 0: never.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::setFrequency
    "Set every how many steps moves are tried, for Contexts created from now on; 0: never.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getRandomNumberSeed
    "Return the seed; 0 (the default): each Context chooses one.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::setRandomNumberSeed "
Set the seed, for Contexts created from now on.

A checkpoint of one Context that is loaded into another continues with the same moves only if they have the
same seed, and it is not 0.
";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getNumAttempted
    "Return how many moves of a molecule were tried in a Context; -1: of all together.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getNumAccepted
    "Return how many moves of a molecule were accepted in a Context; -1: of all together.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getNumInvalid "
Return how many moves of a molecule were rejected in a Context because they led to no finite energy or density.

-1: of all together. getLastInvalidReason() says more.
";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getExpectedAcceptance "
Return the mean acceptance probability of a molecule's moves in a Context; -1: of all together.

It is less noisy than getNumAccepted()/getNumAttempted().
";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::getLastInvalidReason
    "Return why a move was last found invalid in a Context, in words; empty if none was.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::resetStatistics
    "Begin to count moves in a Context anew.";
%feature("docstring") OpenMMScore::MonteCarloFlowMove::isinstance
    "Return whether an openmm.Force, such as System.getForce() returns, is a MonteCarloFlowMove.";

%pythonappend OpenMMScore::MonteCarloFlowMove::getDefaultTemperature() const %{
    val = unit.Quantity(val, unit.kelvin)
%}

%rename(_addMolecule) OpenMMScore::MonteCarloFlowMove::addMolecule;
%rename(_setMoleculeParticles) OpenMMScore::MonteCarloFlowMove::setMoleculeParticles;
%newobject OpenMMScore::MonteCarloFlowMove::_clone;
%newobject OpenMMScore::MonteCarloFlowMove::_fromXml;
%newobject OpenMMScore::MonteCarloFlowMove::_fromFile;
%newobject OpenMMScore::MonteCarloFlowMove::_fromHandle;
%newobject OpenMMScore::MonteCarloFlowMove::_getProposalHandle;
%nodefaultctor OpenMMScore::MonteCarloFlowMove;

namespace OpenMMScore {

class MonteCarloFlowMove : public OpenMM::Force {
public:
    static const std::string& Temperature();
    static const std::string& LastStep();
    static const std::string& Epoch();
    const std::string& getProposalFile() const;
    std::string getProposalHash() const;
    bool getProposalEmbedded() const;
    void setProposalEmbedded(bool embed);
    int getNumProposalParticles() const;
    int getNumMolecules() const;
    int addMolecule(const std::vector<int>& particles);
    void setMoleculeParticles(int index, const std::vector<int>& particles);
    double getDefaultTemperature() const;
    void setDefaultTemperature(double temperature);
    int getFrequency() const;
    void setFrequency(int frequency);
    int getRandomNumberSeed() const;
    void setRandomNumberSeed(int seed);
    long long getNumAttempted(OpenMM::Context& context, int molecule = -1) const;
    long long getNumAccepted(OpenMM::Context& context, int molecule = -1) const;
    long long getNumInvalid(OpenMM::Context& context, int molecule = -1) const;
    double getExpectedAcceptance(OpenMM::Context& context, int molecule = -1) const;
    std::string getLastInvalidReason(OpenMM::Context& context) const;
    void resetStatistics(OpenMM::Context& context);

    %extend {
        static OpenMMScore::MonteCarloFlowMove* _fromFile(const std::string& path, double temperature,
                                                          int frequency) {
            return new OpenMMScore::MonteCarloFlowMove(path, temperature, frequency);
        }
        static OpenMMScore::MonteCarloFlowMove* _fromHandle(const OpenMMScore::ProposalHandle& proposal,
                                                            double temperature, int frequency) {
            return new OpenMMScore::MonteCarloFlowMove(proposal.getProposal(), temperature, frequency);
        }
        static bool isinstance(const OpenMM::Force& force) {
            return dynamic_cast<const OpenMMScore::MonteCarloFlowMove*>(&force) != nullptr;
        }
        static OpenMMScore::MonteCarloFlowMove& _cast(OpenMM::Force& force) {
            auto result = dynamic_cast<OpenMMScore::MonteCarloFlowMove*>(&force);
            if (result == nullptr)
                throw OpenMM::OpenMMException("MonteCarloFlowMove.cast: the Force \"" + force.getName() +
                                              "\" is not a MonteCarloFlowMove");
            return *result;
        }
        OpenMMScore::MonteCarloFlowMove* _clone() const { return new OpenMMScore::MonteCarloFlowMove(*$self); }
        static OpenMMScore::MonteCarloFlowMove* _fromXml(const std::string& xml) {
            std::stringstream stream(xml);
            return OpenMM::XmlSerializer::deserialize<OpenMMScore::MonteCarloFlowMove>(stream);
        }
        OpenMMScore::ProposalHandle* _getProposalHandle() const {
            return new OpenMMScore::ProposalHandle($self->getSharedProposal());
        }
        std::vector<int> _getParticles(int index) const { return $self->getMoleculeParticles(index); }

        %pythoncode %{
            def __init__(self, proposal, temperature, frequency=100):
                from .sampling import Proposal
                if isinstance(proposal, Proposal):
                    made = MonteCarloFlowMove._fromHandle(proposal._handle, temperature, frequency)
                elif isinstance(proposal, (str, os.PathLike)):
                    path = os.path.abspath(os.fsdecode(os.fspath(proposal)))
                    made = MonteCarloFlowMove._fromFile(path, temperature, frequency)
                else:
                    raise openmm.OpenMMException(
                        "MonteCarloFlowMove: expected an openmmscore.Proposal or the path of its file, got "
                        f"{proposal!r:.60}")
                self.this = made.this

            def getProposal(self):
                """Return the proposal, an openmmscore.Proposal that shares it with this Force."""
                from .sampling import Proposal
                return Proposal(self._getProposalHandle())

            def addMolecule(self, particles):
                """Add a molecule: one more set of particles that are moved together.

                Molecules share the proposal; each is decided upon by itself, in the order of their addition.

                Parameters
                ----------
                particles : sequence of int, shape [getNumProposalParticles()]
                    System index of each of the proposal's particles, no repeats, in no other molecule of this
                    Force

                Returns
                -------
                int
                    the index of the molecule

                Raises
                ------
                openmm.OpenMMException
                    if the length is wrong, or an index negative or repeated
                """
                return self._addMolecule(_integers(particles, "particles", "MonteCarloFlowMove.addMolecule"))

            def getMoleculeParticles(self, index):
                """Return a list of the System indices of a molecule's particles."""
                return self._getParticles(index)

            def setMoleculeParticles(self, index, particles):
                """Replace a molecule, for Contexts created from now on; see addMolecule()."""
                self._setMoleculeParticles(
                    index, _integers(particles, "particles", "MonteCarloFlowMove.setMoleculeParticles"))

            @staticmethod
            def cast(force):
                """Return a MonteCarloFlowMove for an openmm.Force that is one.

                System.getForce() and XmlSerializer.deserialize() return plain Force objects. If the argument
                owns the C++ object, the result does so from now on, and can be added to a System.

                Raises
                ------
                openmm.OpenMMException
                    if it is no MonteCarloFlowMove
                """
                return _cast(MonteCarloFlowMove, force)

            def __copy__(self):
                return self._clone()

            def __setstate__(self, xml):
                self.this = MonteCarloFlowMove._fromXml(xml).this
        %}
    }
};

} // namespace OpenMMScore
