// openmmscore.InternalCoordinates wraps this and is what users see.

%{
#include "InternalCoordinatesHandle.h"
%}

namespace OpenMMScore {

%rename(_InternalCoordinatesHandle) InternalCoordinatesHandle;
%apply const double* ARRAY { const double* x, const double* v }
%apply double* ARRAY { double* u, double* positions, double* logJacobian }
%apply const int* ARRAY { std::int32_t* status }

class InternalCoordinatesHandle {
public:
    explicit InternalCoordinatesHandle(const std::vector<int>& rows);
    static std::vector<int> makeRows(int numAtoms, const std::vector<int>& bonds,
                                     const std::vector<double>& masses);

    std::vector<int> getKinds() const;
    std::vector<int> getFirstSiblings() const;
    int findBadRow(const double* x) const;
    std::string fitFlow(long long n, const double* x) const;
    void toInternal(long long n, const double* x, double* u, double* logJacobian, std::int32_t* status) const;
    void toCartesian(long long n, const double* v, double* positions, double* logJacobian,
                     std::int32_t* status) const;
    void orient(unsigned long long seed, long long first, long long n, double* positions) const;
};

%clear const double* x, const double* v, double* u, double* positions, double* logJacobian;
%clear std::int32_t* status;

} // namespace OpenMMScore
