// Emscripten 3.1 would fetch the program by its address, which node refuses for a file.
Module['wasmBinary'] = require('fs').readFileSync(__filename.replace(/js$/, 'wasm'));
