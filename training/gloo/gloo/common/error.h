#ifndef GLOO_STANDIN_COMMON_ERROR_H_
#define GLOO_STANDIN_COMMON_ERROR_H_

// Nothing of it is mentioned.

#endif // GLOO_STANDIN_COMMON_ERROR_H_
