// openmmscore.model.Model wraps this and is what users see.

namespace OpenMMScore {

class ScoreForce;

%rename(_ModelHandle) ModelHandle;
%newobject ModelHandle::fromBytes;
%apply const double* ARRAY { const double* z, const double* t }
%apply const int* ARRAY { const int* features }
%apply double* ARRAY { double* energies, double* scores }

class ModelHandle {
public:
    explicit ModelHandle(const std::string& path);
    static ModelHandle* fromBytes(const std::vector<std::uint8_t>& bytes, const std::string& origin);

    const std::string& getPath() const;
    const std::string& getOrigin() const;
    std::string getDocument() const;
    std::string getSha256() const;
    std::span<const std::uint8_t> getBytes() const;
    size_t getNumParameters() const;
    int getNumParticles() const;
    double getLowerTime() const;
    double getUpperTime() const;
    bool hasEnergy(double t) const;
    void evaluate(int batch, const double* z, int numTimes, const double* t, int numFeatures,
                  const int* features, double* energies, double* scores) const;
};

%clear const double* z, const double* t, const int* features, double* energies, double* scores;

} // namespace OpenMMScore
