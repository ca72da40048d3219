// openmmscore.Proposal wraps this and is what users see.

%{
#include "ProposalHandle.h"
%}

%typemap(out) std::vector<std::uint8_t> {
    const std::vector<std::uint8_t>& bytes = $1;
    $result = PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

namespace OpenMMScore {

%rename(_ProposalHandle) ProposalHandle;
%newobject ProposalHandle::fromBytes;
%newobject ProposalHandle::ofDiffusion;
%apply const double* ARRAY { const double* x, const double* t }
%apply const int* ARRAY { int* partners }
%apply double* ARRAY {
    double* positions, double* densities, double* gradients, double* variances, double* velocities,
    double* divergences, double* base
}

class ProposalHandle {
public:
    explicit ProposalHandle(const std::string& path);
    static ProposalHandle* fromBytes(const std::vector<std::uint8_t>& bytes, const std::string& origin);
    static ProposalHandle* ofDiffusion(const ModelHandle& model, const std::vector<int>& features, double time,
                                       int numSteps, int frame, int numThreads, bool plain);

    std::string getFamily() const;
    int getNumParticles() const;
    int getNumCoordinates() const;
    int getFrame() const;
    bool hasGradient() const;
    std::vector<std::uint8_t> encode() const;
    void save(const std::string& path) const;
    void sample(unsigned long long seed, long long first, long long count, double* positions,
                double* densities) const;
    void logDensity(long long count, const double* x, double* densities) const;
    void logDensityGradient(long long count, const double* x, double* gradients) const;
    static void optimalPairing(int count, int dimension, const double* x, const double* t, int* partners);
    void estimateLogDensity(long long count, const double* x, double* densities, double* variances) const;
    void computeVelocity(long long count, const double* x, const double* t, double* velocities,
                         double* divergences) const;
    int getBaseDimension() const;
    void toBase(long long count, const double* x, double* base, double* densities) const;
    void fromBase(long long count, const double* x, double* positions, double* densities) const;
    static std::string describeSplineFlow(const std::string& settings);
};

%clear const double* x, const double* t, double* positions, double* densities, double* gradients,
    double* variances, double* velocities, double* divergences, double* base, int* partners;

} // namespace OpenMMScore
