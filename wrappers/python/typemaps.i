// Errors, units and bytes on their way between Python and C++.

%{
/** Raise openmm.OpenMMException, the one class for everything that the C++ side throws. */
static void raiseOpenMMException(const char* message) {
    PyObject* openmm = PyImport_ImportModule("openmm");
    PyObject* type = openmm == nullptr ? nullptr : PyObject_GetAttrString(openmm, "OpenMMException");
    if (type != nullptr)
        PyErr_SetString(type, message);
    Py_XDECREF(type);
    Py_XDECREF(openmm);
}

/** @return a new reference: a Quantity's value in nm, ps, K, amu, kJ/mol, and anything else as it is */
static PyObject* stripUnits(PyObject* value) {
    if (!PyObject_HasAttrString(value, "value_in_unit_system")) {
        Py_INCREF(value);
        return value;
    }
    PyObject* units = PyImport_ImportModule("openmm.unit");
    PyObject* system = units == nullptr ? nullptr : PyObject_GetAttrString(units, "md_unit_system");
    PyObject* result =
        system == nullptr ? nullptr : PyObject_CallMethod(value, "value_in_unit_system", "O", system);
    Py_XDECREF(system);
    Py_XDECREF(units);
    return result;
}

/** @return a number or Quantity as a double; on failure a Python error is set */
static double toDouble(PyObject* number) {
    PyObject* value = stripUnits(number);
    double result = value == nullptr ? 0.0 : PyFloat_AsDouble(value);
    Py_XDECREF(value);
    return result;
}

static PyObject* toList(const std::vector<double>& values) {
    PyObject* list = PyList_New(values.size());
    for (std::size_t i = 0; i < values.size(); i++)
        PyList_SetItem(list, i, PyFloat_FromDouble(values[i]));
    return list;
}
%}

// The GIL is held again by the time that the handlers run.
%exception {
    try {
        $action
    }
    catch (const std::exception& e) {
        raiseOpenMMException(e.what());
        SWIG_fail;
    }
}

%typemap(in) double {
    $1 = toDouble($input);
    if (PyErr_Occurred())
        SWIG_fail;
}

%typemap(in) const std::vector<double>& (std::vector<double> values) {
    PyObject* sequence = stripUnits($input);
    Py_ssize_t size = sequence == nullptr ? 0 : PySequence_Size(sequence);
    for (Py_ssize_t i = 0; i < size && !PyErr_Occurred(); i++) {
        PyObject* item = PySequence_GetItem(sequence, i);
        values.push_back(item == nullptr ? 0.0 : toDouble(item));
        Py_XDECREF(item);
    }
    Py_XDECREF(sequence);
    if (PyErr_Occurred())
        SWIG_fail;
    $1 = &values;
}

%typemap(out) std::vector<double> {
    $result = toList(static_cast<const std::vector<double>&>($1));
}

%typemap(out) const std::vector<double>& {
    $result = toList(*$1);
}

%typemap(in) const std::vector<std::uint8_t>& (std::vector<std::uint8_t> bytes) {
    char* data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize($input, &data, &size) != 0)
        SWIG_fail;
    bytes.assign(data, data + size);
    $1 = &bytes;
}

%typemap(out) std::span<const std::uint8_t> {
    $result = PyBytes_FromStringAndSize(reinterpret_cast<const char*>($1.data()), $1.size());
}

%typemap(in) const std::vector<int>& (std::vector<int> values) {
    Py_ssize_t size = PySequence_Size($input);
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject* item = PySequence_GetItem($input, i);
        long value = item == nullptr ? 0 : PyLong_AsLong(item);
        Py_XDECREF(item);
        if (!PyErr_Occurred() && value != static_cast<int>(value))
            PyErr_Format(PyExc_OverflowError, "%ld is too large for an index", value);
        if (PyErr_Occurred())
            break;
        values.push_back(static_cast<int>(value));
    }
    if (PyErr_Occurred())
        SWIG_fail;
    $1 = &values;
}

%typemap(out) std::vector<int> {
    $result = PyList_New($1.size());
    for (std::size_t i = 0; i < $1.size(); i++)
        PyList_SetItem($result, i, PyLong_FromLong($1[i]));
}

// The address of a NumPy array's data. The Python layer owns the array, and has checked type and size.
%typemap(in) const double* ARRAY, double* ARRAY, const int* ARRAY {
    $1 = static_cast<$1_ltype>(PyLong_AsVoidPtr($input));
    if (PyErr_Occurred())
        SWIG_fail;
}
