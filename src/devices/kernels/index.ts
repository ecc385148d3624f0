// AssemblyScript. What the module exports. Everything is stateless, so that many threads can run it on
// one shared memory: no mutable globals, no data segments, scratch comes as an argument.
export { complexMultiply, complexMultiplyConj, n3 } from './complex';
export { adagrad, adagradRowWise, gather, scatterAdd } from './rows';
export { sgemm, sgemmScratchBytes } from './sgemm';
export { softmaxCrossEntropy } from './softmax';
export { axpy, countGreater, dot, scal } from './vectors';
