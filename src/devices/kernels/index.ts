// AssemblyScript. What the module exports. Everything is stateless, so that many threads can run it on
// one shared memory: no mutable globals, no data segments, scratch comes as an argument.
export { complexMultiply, complexMultiplyConj, n3 } from './complex';
export {
  float16ToFloat32,
  float32ToFloat16,
  float32ToInt32,
  float32ToUint8,
  int32ToFloat32,
  uint8ToFloat32,
  zero,
} from './convert';
export {
  adagradDense,
  adagradIds,
  firstOutside,
  firstRepeated,
  gatherIds,
  scatterAddIds,
} from './indexed';
export { adagrad, adagradRowWise, gather, scatterAdd } from './rows';
export { sgemm, sgemmScratchBytes } from './sgemm';
export { softmaxCrossEntropy, softmaxCrossEntropyRows } from './softmax';
export { axpy, countGreater, dot, dotChunks, scal } from './vectors';
