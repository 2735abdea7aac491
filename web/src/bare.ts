import { inWorker, start } from "./start";
export { OPERATIONS } from "./operations";
export { constants, inflated } from "./packed";
export { Programs } from "./program";
if (!inWorker && document.getElementById("contents")) start().then((started) => ((window as any).explorer = started));
