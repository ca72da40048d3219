// Weights and estimators. openmmscore.sampling.Weights and Mbar wrap these and are what users see.

namespace OpenMMScore {

%rename(_WeightsHandle) WeightsHandle;
%rename(_MbarHandle) MbarHandle;
%apply const double* ARRAY { const double* logWeights, const double* values, const double* otherValues,
                             const double* energies }
%apply double* ARRAY { double* logWeights, double* normalized, double* means, double* errors, double* logZ }
%apply const int* ARRAY { const std::int32_t* status, const std::int64_t* bins, const std::int64_t* counts,
                          std::int64_t* indices }

class WeightsHandle {
public:
    WeightsHandle(long long n, const double* logWeights, const std::int32_t* status);

    long long getNumSamples() const;
    void getLogWeights(double* logWeights) const;
    void getNormalized(double* normalized) const;
    double effectiveSampleSize() const;
    double perplexity() const;
    double largestShare() const;
    std::string warnings() const;
    std::vector<double> paretoTail() const;
    double smooth(double* logWeights) const;
    double truncate(double fraction, bool drop, double* logWeights) const;
    std::vector<double> logNormalization() const;
    void average(long long quantities, const double* values, double* means, double* errors) const;
    void binProbabilities(const std::int64_t* bins, long long numBins, double* means, double* errors) const;
    std::vector<double> regionDifference(const double* values, const double* otherValues) const;
    std::vector<double> targetDifference(const WeightsHandle& other) const;
    void bootstrapAverages(long long quantities, const double* values, long long replicates,
                           unsigned long long seed, double* logZ, double* means) const;
    void bootstrapBins(const std::int64_t* bins, long long numBins, long long replicates,
                       unsigned long long seed, double* logZ, double* means) const;
    void reweight(const double* values, const double* otherValues, double* logWeights) const;
    void resample(long long count, const std::string& scheme, unsigned long long seed,
                  std::int64_t* indices) const;
    static void resampleWeights(long long n, const double* values, long long count, const std::string& scheme,
                                unsigned long long seed, std::int64_t* indices);
    static std::vector<double> bar(long long numForward, const double* values, long long numReverse,
                                   const double* otherValues);
};

class MbarHandle {
public:
    MbarHandle(long long numStates, const std::int64_t* counts, long long n, const double* energies);

    std::vector<double> getFreeEnergies() const;
    int getNumIterations() const;
    std::vector<double> difference(long long i, long long j) const;
    std::vector<double> overlap() const;
    std::vector<double> perturbed(const double* energies) const;
    std::vector<double> average(const double* energies, const double* values) const;
    void logWeights(const double* energies, double* logWeights) const;
};

%clear const double* logWeights, const double* values, const double* otherValues, const double* energies;
%clear double* logWeights, double* normalized, double* means, double* errors, double* logZ;
%clear const std::int32_t* status, const std::int64_t* bins, const std::int64_t* counts, std::int64_t* indices;

} // namespace OpenMMScore
