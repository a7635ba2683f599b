// Verifies DKIM signatures with npm's mailauth.
//
// Reads JSON lines {"message": base64, "dns": {name: text}} and answers each with a JSON list: for every DKIM-Signature
// field [algorithm, whether it verifies].

'use strict';

const path = require('path');
const readline = require('readline');
const modules = process.argv[2];
const { dkimVerify } = require(path.join(modules, 'node_modules/mailauth/lib/dkim/verify'));

async function verify(line) {
    const { message, dns } = JSON.parse(line);
    const resolver = async (name, type) => {
        if (type !== 'TXT' || !(name in dns)) {
            throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
        }
        // As DNS gives it: strings of at most 255 octets.
        return [dns[name].match(/.{1,255}/g)];
    };
    const { results } = await dkimVerify(Buffer.from(message, 'base64'), { resolver });
    return results.map(result => [result.algo, result.status.result === 'pass']);
}

(async () => {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        console.log(JSON.stringify(await verify(line)));
    }
})();
