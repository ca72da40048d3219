// ScoreLangevinIntegrator. What it inherits (getStepSize, setConstraintTolerance, ...) is OpenMM's own.

%feature("docstring") OpenMMScore::ScoreLangevinIntegrator "
Langevin dynamics of many molecules, each of which moves as if it were alone.

Random numbers are a function of (seed, molecule, step, particle), so the path of a molecule does not depend on
how many others run beside it, on threads, or on where a run was interrupted and continued from a checkpoint:
bit for bit on one platform. Schemes, see setScheme():

LFMiddle
    OpenMM's LangevinMiddleIntegrator (default)
Legacy
    OpenMM's LangevinIntegrator up to version 8.1, used for published runs of such models
Metropolized
    each molecule accepts or rejects each step, and so samples exp(-U/kT) exactly whatever the step size; every
    force of the System must be a ScoreForce

Constraints and barostats are refused. Particles of mass zero do not move.

Example
-------
>>> integrator = ScoreLangevinIntegrator(300*kelvin, 1/picosecond, 2*femtoseconds)
>>> integrator.setRandomNumberSeed(1)
";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::ScoreLangevinIntegrator "
Create a ScoreLangevinIntegrator.

Parameters
----------
temperature : float or Quantity
    temperature of the heat bath, in kelvin
frictionCoeff : float or Quantity
    friction coefficient, in 1/ps
stepSize : float or Quantity
    step size, in ps

Raises
------
openmm.OpenMMException
    if one of them is negative or not finite
";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::getTemperature
    "Return the temperature of the heat bath, a Quantity in kelvin.";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::setTemperature "
Set the temperature of the heat bath, in kelvin.

Raises openmm.OpenMMException if it is negative or not finite, or if a model in this integrator's Context was
trained at another temperature (see setAllowTemperatureMismatch()).
";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::getFriction
    "Return the friction coefficient, a Quantity in 1/ps.";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::setFriction
    "Set the friction coefficient, in 1/ps.";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::getScheme
    "Return the scheme: LFMiddle (default), Legacy or Metropolized.";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::setScheme
    "Set the scheme. It takes effect when a Context is created or reinitialized.";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::getRandomNumberSeed
    "Return the seed as it was set; 0 means that each Context chooses one.";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::setRandomNumberSeed
    "Set the seed of the random numbers, for Contexts created or reinitialized from now on.";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::getMoleculeOffset
    "Return the number that the random numbers of the first molecule are drawn for (default: 0).";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::setMoleculeOffset "
Set the number that the random numbers of the first molecule are drawn for.

Runs that share out molecules among several processes then draw what one run of all of them would have drawn.
";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::getMoleculeTemperatures
    "Return the temperature of each molecule's heat bath, a Quantity in kelvin; empty: getTemperature().";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::setMoleculeTemperatures "
Give each molecule a heat bath of its own, for Contexts created or reinitialized from now on.

Parameters
----------
temperatures : sequence of float or Quantity, shape [molecules]
    in kelvin; empty: getTemperature() for all
";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::getAllowTemperatureMismatch
    "Return whether a temperature other than that of a model's training data is allowed (default: False).";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::setAllowTemperatureMismatch "
Allow temperatures other than that of a model's training data.

The model's energy is a free energy at that temperature, and simulating it at another one is not what the real
molecule would do there.
";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::getAcceptanceRate
    "Return the fraction of Metropolized steps accepted since the Context was created; else 1.";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::getMoleculeAcceptanceRates
    "Return the same for each molecule, an array of shape [molecules]; empty before a Context is created.";
%feature("docstring") OpenMMScore::ScoreLangevinIntegrator::isinstance
    "Return whether an openmm.Integrator is a ScoreLangevinIntegrator.";

%pythonappend OpenMMScore::ScoreLangevinIntegrator::getTemperature() const %{
    val = unit.Quantity(val, unit.kelvin)
%}
%pythonappend OpenMMScore::ScoreLangevinIntegrator::getFriction() const %{
    val = unit.Quantity(val, 1/unit.picosecond)
%}
%pythonappend OpenMMScore::ScoreLangevinIntegrator::getMoleculeTemperatures() const %{
    val = unit.Quantity(val, unit.kelvin)
%}
%pythonappend OpenMMScore::ScoreLangevinIntegrator::getMoleculeAcceptanceRates() const %{
    val = numpy.array(val)
%}

%newobject OpenMMScore::ScoreLangevinIntegrator::_fromXml;

namespace OpenMMScore {

class ScoreLangevinIntegrator : public OpenMM::Integrator {
public:
    enum Scheme { LFMiddle = 0, Legacy = 1, Metropolized = 2 };

    ScoreLangevinIntegrator(double temperature, double frictionCoeff, double stepSize);
    double getTemperature() const;
    void setTemperature(double temperature);
    double getFriction() const;
    void setFriction(double coeff);
    Scheme getScheme() const;
    void setScheme(Scheme scheme);
    int getRandomNumberSeed() const;
    void setRandomNumberSeed(int seed);
    int getMoleculeOffset() const;
    void setMoleculeOffset(int offset);
    const std::vector<double>& getMoleculeTemperatures() const;
    void setMoleculeTemperatures(const std::vector<double>& temperatures);
    bool getAllowTemperatureMismatch() const;
    void setAllowTemperatureMismatch(bool allow);
    double getAcceptanceRate() const;
    std::vector<double> getMoleculeAcceptanceRates() const;

    %extend {
        static bool isinstance(const OpenMM::Integrator& integrator) {
            return dynamic_cast<const OpenMMScore::ScoreLangevinIntegrator*>(&integrator) != nullptr;
        }
        static OpenMMScore::ScoreLangevinIntegrator& _cast(OpenMM::Integrator& integrator) {
            auto result = dynamic_cast<OpenMMScore::ScoreLangevinIntegrator*>(&integrator);
            if (result == nullptr)
                throw OpenMM::OpenMMException(
                    "ScoreLangevinIntegrator.cast: the Integrator is not a ScoreLangevinIntegrator");
            return *result;
        }
        static OpenMMScore::ScoreLangevinIntegrator* _fromXml(const std::string& xml) {
            std::stringstream stream(xml);
            return OpenMM::XmlSerializer::deserialize<OpenMMScore::ScoreLangevinIntegrator>(stream);
        }

        %pythoncode %{
            def step(self, steps):
                """Advance the simulation.

                Ctrl-C is heeded a few times a second; the Context then stands after a whole step, ready to go on.

                Parameters
                ----------
                steps : int
                    how many steps

                Raises
                ------
                openmm.OpenMMException
                    if no Context was created, or if an energy, force or position is not finite; the Context then
                    holds the last good step
                """
                chunk = 10
                while True:
                    start = time.perf_counter()
                    openmm.Integrator.step(self, min(chunk, steps))
                    steps -= chunk
                    if steps <= 0:
                        return
                    elapsed = time.perf_counter() - start
                    if elapsed < 0.05:
                        chunk *= 2
                    elif elapsed > 0.2:
                        chunk = max(1, chunk // 2)

            @staticmethod
            def cast(integrator):
                """Return a ScoreLangevinIntegrator for an openmm.Integrator that is one.

                XmlSerializer.deserialize() returns plain Integrator objects. If the argument owns the C++
                object, the result does so from now on.

                Raises
                ------
                openmm.OpenMMException
                    if it is no ScoreLangevinIntegrator
                """
                return _cast(ScoreLangevinIntegrator, integrator)

            def __copy__(self):
                return self._fromXml(openmm.XmlSerializer.serialize(self))

            def __setstate__(self, xml):
                self.this = ScoreLangevinIntegrator._fromXml(xml).this
        %}
    }
};

} // namespace OpenMMScore
