#ifndef OPENMMSCORE_TESTS_OPENMMAPI_ALLOCATIONCOUNTER_H_
#define OPENMMSCORE_TESTS_OPENMMAPI_ALLOCATIONCOUNTER_H_

namespace OpenMMScore::testing {

/** @return how often the program and its libraries have called operator new so far; 0 under the address
 * sanitizer */
long countAllocations();

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_OPENMMAPI_ALLOCATIONCOUNTER_H_
