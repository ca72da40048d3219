// As much of OpenMM as ours refers to. SWIG matches classes of two modules by their C++ names, so the real
// ones need no declaration here.
namespace OpenMM {

class Context;
class System;

class Force {
public:
    virtual ~Force();
};

class Integrator {
public:
    virtual ~Integrator();
};

} // namespace OpenMM
