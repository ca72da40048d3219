#ifndef GLOO_STANDIN_ALGORITHM_H_
#define GLOO_STANDIN_ALGORITHM_H_

// Nothing of it is mentioned.

#endif // GLOO_STANDIN_ALGORITHM_H_
