// openmmscore.diffusion wraps these and is what users see.

namespace OpenMMScore {

%rename(_DiffusionHandle) DiffusionHandle;
%rename(_FlowHandle) FlowHandle;
%apply double* ARRAY { double* z, double* logDensity }
%apply const double* ARRAY { const double* z, const double* noise }

class DiffusionHandle {
public:
    DiffusionHandle(const ModelHandle& model, const std::vector<int>& features, int numSteps,
                    const std::string& method, int numThreads, bool plain, double eta, double signalToNoise,
                    int correctorSteps, bool stopAtLowestLevel, double churn);
    std::string getMethod() const;
    int getNumUpdates() const;
    int getNumEvaluations() const;
    double getTime(int update) const;
    std::vector<double> getFactors(int update) const;
    void drawStart(int seed, long long first, int count, double* z) const;
    void advance(int seed, long long first, int count, double* z, int fromUpdate, int toUpdate);
    void replay(int update, int count, double* z, const double* noise);
};

class FlowHandle {
public:
    FlowHandle(const ModelHandle& model, const std::vector<int>& features, double endTime, int numSteps,
               int numThreads);
    int getNumSteps() const;
    void drawStart(int seed, long long first, int count, double* z, double* logDensity) const;
    void generate(int count, double* z, double* logDensity, int fromStep, int toStep);
    void absorb(int count, double* z, double* logDensity, int fromStep, int toStep);
    void addPrior(int count, const double* z, double* logDensity) const;
};

%clear double* z, double* logDensity;
%clear const double* z, const double* noise;

} // namespace OpenMMScore
