// openmmscore.BoltzmannTarget (target.py) wraps this and is what users see.

%typemap(in) const std::map<std::string, std::string>& (std::map<std::string, std::string> values) {
    PyObject *key, *value;
    Py_ssize_t position = 0;
    if (!PyDict_Check($input)) {
        PyErr_SetString(PyExc_TypeError, "properties must be a dict of strings");
        SWIG_fail;
    }
    while (PyDict_Next($input, &position, &key, &value)) {
        const char* keyText = PyUnicode_AsUTF8AndSize(key, nullptr);
        const char* valueText = keyText == nullptr ? nullptr : PyUnicode_AsUTF8AndSize(value, nullptr);
        if (valueText == nullptr)
            SWIG_fail;
        values[keyText] = valueText;
    }
    $1 = &values;
}

%typemap(out) const std::map<std::string, std::string>& {
    $result = PyDict_New();
    for (const auto& [key, value] : *$1) {
        PyObject* text = PyUnicode_FromString(value.c_str());
        PyDict_SetItemString($result, key.c_str(), text);
        Py_DECREF(text);
    }
}

%typemap(out) const std::map<std::string, double>& {
    $result = PyDict_New();
    for (const auto& [key, value] : *$1) {
        PyObject* number = PyFloat_FromDouble(value);
        PyDict_SetItemString($result, key.c_str(), number);
        Py_DECREF(number);
    }
}

%typemap(in) const std::vector<std::string>& NAMES (std::vector<std::string> names) {
    const Py_ssize_t size = PySequence_Size($input);
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject* item = PySequence_GetItem($input, i);
        const char* text = item == nullptr ? nullptr : PyUnicode_AsUTF8AndSize(item, nullptr);
        if (text != nullptr)
            names.push_back(text);
        Py_XDECREF(item);
    }
    if (PyErr_Occurred())
        SWIG_fail;
    $1 = &names;
}

%typemap(in) std::uint8_t* ARRAY = double* ARRAY;
%typemap(out) OpenMMScore::BoltzmannTarget::Failure {
    $result = Py_BuildValue("(Ls)", static_cast<long long>($1.frame), $1.message.c_str());
}

%apply const double* ARRAY { const double* positions, const double* boxVectors, const double* temperatures,
                             const double* parameterValues }
%apply double* ARRAY { double* energies, double* forces }
%apply std::uint8_t* ARRAY { std::uint8_t* statuses }
%apply const std::vector<std::string>& NAMES { const std::vector<std::string>& parameters }

namespace OpenMMScore {

// A PythonForce is written to XML and deleted by Python code that OpenMM runs with the GIL held.
%nothread BoltzmannTarget::getSystemXml;
%nothread BoltzmannTarget::~BoltzmannTarget;
%rename(_TargetHandle) BoltzmannTarget;

class BoltzmannTarget {
public:
    ~BoltzmannTarget();
    static const char* getStatusName(int status);
    int getNumParticles() const;
    double getTemperature() const;
    int getNumContexts() const;
    const std::string& getPlatformName() const;
    const std::map<std::string, std::string>& getPlatformProperties() const;
    const std::string& getPlatformReason() const;
    const std::map<std::string, double>& getParameters() const;
    double getLowerEnergyLimit() const;
    double getUpperEnergyLimit() const;
    void setEnergyLimits(double lower, double upper);

    %extend {
        BoltzmannTarget(OpenMM::System* system, double temperature, int numContexts, const std::string& platform,
                        const std::map<std::string, std::string>& properties) {
            return new OpenMMScore::BoltzmannTarget(std::unique_ptr<OpenMM::System>(system), temperature,
                                                    numContexts, platform, properties);
        }
        static int getNumStatuses() { return OpenMMScore::BoltzmannTarget::NumStatuses; }
        std::string getSystemXml() const {
            std::ostringstream stream;
            OpenMM::XmlSerializer::serialize(&$self->getSystem(), "System", stream);
            return stream.str();
        }
        OpenMMScore::BoltzmannTarget::Failure
        evaluate(long long count, const double* positions, const double* boxVectors, const double* temperatures,
                 const std::vector<std::string>& parameters, const double* parameterValues, double* energies,
                 std::uint8_t* statuses, double* forces) {
            return $self->evaluate({count, positions, boxVectors, temperatures, parameters, parameterValues},
                                   {energies, statuses, forces});
        }
    }
};

} // namespace OpenMMScore

%clear const double* positions, const double* boxVectors, const double* temperatures;
%clear const double* parameterValues, double* energies, double* forces, std::uint8_t* statuses;
%clear const std::vector<std::string>& parameters;
