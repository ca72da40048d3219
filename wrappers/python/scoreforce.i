// ScoreForce, with Python's lists, arrays, paths and units around the C++ class.

%feature("docstring") OpenMMScore::ScoreForce "
A Force whose potential is read off a trained energy-based diffusion model.

With the model's reduced energy e, temperature T and length scale L,

    U(x) = s kT e(x/L, t),    F(x) = s (kT/L) score(x/L, t),

where t is the diffusion time and s a global parameter of the Context, normally 1. It acts on any number of
molecules, which share the model, are evaluated together and do not interact through it. Periodic Systems:
each molecule is made whole along its bonds before the model sees it.

Example
-------
>>> force = ScoreForce('alanine.safetensors')
>>> force.addMolecule([0, 1, 2, 3, 4])
0
>>> system.addForce(force)
0
";

%feature("docstring") OpenMMScore::ScoreForce::getModelFile
    "Return the absolute path of the model file; empty for a model that came from memory.";
%feature("docstring") OpenMMScore::ScoreForce::getModelHash
    "Return the SHA-256 of the model file: 64 lower-case hexadecimal digits.";
%feature("docstring") OpenMMScore::ScoreForce::getTemperature
    "Return the temperature of the training data, a Quantity in kelvin.";
%feature("docstring") OpenMMScore::ScoreForce::getLengthScale
    "Return the length of one unit of the network's coordinates, a Quantity in nanometers.";
%feature("docstring") OpenMMScore::ScoreForce::getNumModelParticles
    "Return how many particles a molecule has: N, or ceil(d/3) for a model of a plain vector of d numbers.";
%feature("docstring") OpenMMScore::ScoreForce::getNumFeatures
    "Return how many integers the network must be told about each particle; 0 for most models.";
%feature("docstring") OpenMMScore::ScoreForce::getNumMolecules
    "Return how many molecules there are.";
%feature("docstring") OpenMMScore::ScoreForce::getDiffusionTime
    "Return the diffusion time at which the model is evaluated (default: the model file's).";
%feature("docstring") OpenMMScore::ScoreForce::setDiffusionTime "
Set the diffusion time at which the model is evaluated.

Parameters
----------
t : float
    dimensionless, within the interval that the model covers; one of its levels for a discrete schedule

Raises
------
openmm.OpenMMException
    if it is neither
";
%feature("docstring") OpenMMScore::ScoreForce::Scale
    "Return 'ScoreForceScale', the name of the scale parameter unless setScaleParameter() is called.";
%feature("docstring") OpenMMScore::ScoreForce::getScaleParameter
    "Return the name of the global parameter s that multiplies energy and forces.";
%feature("docstring") OpenMMScore::ScoreForce::setScaleParameter
    "Set the name of the global parameter s. Forces with equal names share it and must have one default.";
%feature("docstring") OpenMMScore::ScoreForce::getDefaultScale
    "Return the value of s in a new Context (default: 1).";
%feature("docstring") OpenMMScore::ScoreForce::setDefaultScale
    "Set the value of s in a new Context. In an existing one it changes by Context.setParameter().";
%feature("docstring") OpenMMScore::ScoreForce::addEnergyParameterDerivative
    "Ask for dU/ds, where name is getScaleParameter(); State.getEnergyParameterDerivatives() reports it.";
%feature("docstring") OpenMMScore::ScoreForce::getNumEnergyParameterDerivatives
    "Return how many derivatives were asked for: 0 or 1.";
%feature("docstring") OpenMMScore::ScoreForce::getEnergyParameterDerivativeName
    "Return the name of the parameter of a derivative that was asked for.";
%feature("docstring") OpenMMScore::ScoreForce::getNonConservative
    "Return whether forces that are no gradient of an energy are accepted (default: False).";
%feature("docstring") OpenMMScore::ScoreForce::setNonConservative "
Accept a network that gives a score but no energy.

Its forces are no gradient, so energies drift and what a thermostat samples is not the model's density.
Without this, creating a Context with such a network is an error. With it, forces work, while asking for the
energy (State, minimizer, StateDataReporter) raises openmm.OpenMMException.
";
%feature("docstring") OpenMMScore::ScoreForce::getModelEmbedded
    "Return whether XML holds the bytes of the model file (default: False).";
%feature("docstring") OpenMMScore::ScoreForce::setModelEmbedded
    "Choose what XML holds: the bytes of the model file (True), or its path and SHA-256 (False).";
%feature("docstring") OpenMMScore::ScoreForce::updateParametersInContext
    "Copy features, diffusion time and acceptance of non-conservative forces to an existing Context.";
%feature("docstring") OpenMMScore::ScoreForce::isinstance
    "Return whether an openmm.Force, such as System.getForce() returns, is a ScoreForce.";

%feature("docstring") OpenMMScore::ScoreForce::getMoleculeEnergies "
Compute the energy of each molecule at the present positions of a Context.

Parameters
----------
context : openmm.Context
    a Context of the System that this Force belongs to

Returns
-------
Quantity of an array of shape [getNumMolecules()]
    in kJ/mol, the scale parameter included

Raises
------
openmm.OpenMMException
    if the model has no energy, or a position or result is not finite
";
%pythonappend OpenMMScore::ScoreForce::getMoleculeEnergies(OpenMM::Context&) const %{
    val = unit.Quantity(numpy.array(val), unit.kilojoule_per_mole)
%}
%pythonappend OpenMMScore::ScoreForce::getTemperature() const %{
    val = unit.Quantity(val, unit.kelvin)
%}
%pythonappend OpenMMScore::ScoreForce::getLengthScale() const %{
    val = unit.Quantity(val, unit.nanometer)
%}
%pythonprepend OpenMMScore::ScoreForce::ScoreForce %{
    """Create a ScoreForce without molecules.

    Parameters
    ----------
    model : str, os.PathLike or openmmscore.Model
        a model file, read and checked here, or a model that is already loaded

    Raises
    ------
    openmm.OpenMMException
        if the file is missing, damaged, or of a newer format version
    """
    if not isinstance(model, _ModelHandle):
        from .model import Model
        model = (model if isinstance(model, Model) else Model(model))._handle
%}

%rename(_addMolecule) OpenMMScore::ScoreForce::addMolecule;
%rename(_setMoleculeParameters) OpenMMScore::ScoreForce::setMoleculeParameters;
%newobject OpenMMScore::ScoreForce::_clone;
%newobject OpenMMScore::ScoreForce::_fromXml;
%newobject OpenMMScore::ScoreForce::_getModelHandle;

namespace OpenMMScore {

class ScoreForce : public OpenMM::Force {
public:
    const std::string& getModelFile() const;
    const std::string& getModelHash() const;
    double getTemperature() const;
    double getLengthScale() const;
    int getNumModelParticles() const;
    int getNumFeatures() const;
    int getNumMolecules() const;
    int addMolecule(const std::vector<int>& particles, const std::vector<int>& features);
    void setMoleculeParameters(int index, const std::vector<int>& particles,
                               const std::vector<int>& features);
    double getDiffusionTime() const;
    void setDiffusionTime(double t);
    static const std::string& Scale();
    const std::string& getScaleParameter() const;
    void setScaleParameter(const std::string& name);
    double getDefaultScale() const;
    void setDefaultScale(double scale);
    void addEnergyParameterDerivative(const std::string& name);
    int getNumEnergyParameterDerivatives() const;
    const std::string& getEnergyParameterDerivativeName(int index) const;
    bool getNonConservative() const;
    void setNonConservative(bool accept);
    bool getModelEmbedded() const;
    void setModelEmbedded(bool embed);
    std::vector<double> getMoleculeEnergies(OpenMM::Context& context) const;
    void updateParametersInContext(OpenMM::Context& context);

    %extend {
        ScoreForce(const OpenMMScore::ModelHandle& model) {
            return new OpenMMScore::ScoreForce(model.getModel(), model.getPath());
        }
        static bool isinstance(const OpenMM::Force& force) {
            return dynamic_cast<const OpenMMScore::ScoreForce*>(&force) != nullptr;
        }
        static OpenMMScore::ScoreForce& _cast(OpenMM::Force& force) {
            auto result = dynamic_cast<OpenMMScore::ScoreForce*>(&force);
            if (result == nullptr)
                throw OpenMM::OpenMMException("ScoreForce.cast: the Force \"" + force.getName() +
                                              "\" is not a ScoreForce");
            return *result;
        }
        OpenMMScore::ScoreForce* _clone() const { return new OpenMMScore::ScoreForce(*$self); }
        static OpenMMScore::ScoreForce* _fromXml(const std::string& xml) {
            std::stringstream stream(xml);
            return OpenMM::XmlSerializer::deserialize<OpenMMScore::ScoreForce>(stream);
        }
        OpenMMScore::ModelHandle* _getModelHandle() const { return new OpenMMScore::ModelHandle(*$self); }
        std::vector<int> _getParticles(int index) const {
            std::vector<int> particles, features;
            $self->getMoleculeParameters(index, particles, features);
            return particles;
        }
        std::vector<int> _getFeatures(int index) const {
            std::vector<int> particles, features;
            $self->getMoleculeParameters(index, particles, features);
            return features;
        }

        %pythoncode %{
            def getModel(self):
                """Return the model, an openmmscore.Model that shares it with this Force."""
                from .model import Model
                return Model._fromHandle(self._getModelHandle())

            def addMolecule(self, particles, features=None):
                """Add a molecule: one more set of particles that the model acts on.

                Parameters
                ----------
                particles : sequence of int, shape [getNumModelParticles()]
                    System index of each model particle, in the model's order, no repeats, in no other
                    molecule of this Force; a list or a NumPy array
                features : sequence of int, shape [getNumModelParticles(), getNumFeatures()], optional
                    what a transferable network is told about each particle, nested or row by row in one
                    sequence; None for other models

                Returns
                -------
                int
                    the index of the molecule

                Raises
                ------
                openmm.OpenMMException
                    if a length is wrong, an index negative or repeated, or a feature out of range
                """
                return self._addMolecule(_integers(particles, "particles", "ScoreForce.addMolecule"),
                                         _integers(features, "features", "ScoreForce.addMolecule"))

            def setMoleculeParameters(self, index, particles, features=None):
                """Replace a molecule; arguments and errors are those of addMolecule().

                A Context takes new features through updateParametersInContext(), but never new particles.
                """
                self._setMoleculeParameters(index,
                                            _integers(particles, "particles", "ScoreForce.setMoleculeParameters"),
                                            _integers(features, "features", "ScoreForce.setMoleculeParameters"))

            def getMoleculeParameters(self, index):
                """Return [particles, features] of a molecule.

                particles is a list of getNumModelParticles() integers, features one list of getNumFeatures()
                integers for each of them, or an empty list for a model without features.
                """
                features = self._getFeatures(index)
                width = self.getNumFeatures()
                rows = [features[i:i + width] for i in range(0, len(features), max(width, 1))]
                return [self._getParticles(index), rows]

            @staticmethod
            def cast(force):
                """Return a ScoreForce for an openmm.Force that is one.

                System.getForce() and XmlSerializer.deserialize() return plain Force objects. If the argument
                owns the C++ object, the result does so from now on, and can be added to a System.

                Raises
                ------
                openmm.OpenMMException
                    if it is no ScoreForce
                """
                return _cast(ScoreForce, force)

            def __copy__(self):
                return self._clone()

            def __setstate__(self, xml):
                self.this = ScoreForce._fromXml(xml).this
        %}
    }
};

} // namespace OpenMMScore
