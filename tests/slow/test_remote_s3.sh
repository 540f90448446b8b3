#!/bin/bash
# test_remote_s3.sh - `train --data s3://` against moto, which checks every signature: the local folder's weights; a wrong
# key is refused. Needs BIN, SOURCE and a Python with moto[server] and boto3 (PYTHON); skipped without.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
unset AWS_SESSION_TOKEN AWS_ENDPOINT_URL_S3
python=${PYTHON:-python3}
"$python" -c 'import moto.server, boto3' 2>/dev/null || skip "no moto[server] and boto3 for $python"
SERVER=
at_end() { kill $SERVER 2>/dev/null; }
export PRESIZE_CACHE=$scratch/cache

mkdir experiments
printf '%s\n' 'data: {set: demo, size: 32}' 'model: {arch: resnet18, weights: none}' 'exec: {threads: 1}' \
    'train: {size: 16, batch: 32, phases: [{kind: one_cycle, epochs: 1, lr: 1e-3}]}' >experiments/e.yaml
ok "$BIN/fetch" demo
ok "$BIN/prep" demo size=32
ok "$BIN/train" --exp e --results r --name local

# Seven calls need no signature: those that make a user, a bucket and three files.
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_REGION=eu-central-1
INITIAL_NO_AUTH_ACTION_COUNT=7 "$python" -m moto.server -p "$port" >server.log 2>&1 &
SERVER=$!
cat >fill.py <<'END'
import json, os, pathlib, time, urllib.request, boto3
for _ in range(100):
    try: urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/moto-api/"); break
    except urllib.error.HTTPError: break
    except OSError: time.sleep(0.2)
how = dict(aws_access_key_id="a", aws_secret_access_key="b", region_name=os.environ["AWS_REGION"])
iam, s3 = boto3.client("iam", **how), boto3.client("s3", **how)
iam.create_user(UserName="u")
everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(everything))
key = iam.create_access_key(UserName="u")["AccessKey"]
s3.create_bucket(Bucket="sets", CreateBucketConfiguration={"LocationConstraint": os.environ["AWS_REGION"]})
for path in sorted(pathlib.Path("data/demo/shards-32").iterdir()):
    s3.put_object(Bucket="sets", Key="my/" + str(path), Body=path.read_bytes())
print(key["AccessKeyId"], key["SecretAccessKey"])
END
read -r id secret < <("$python" fill.py) || { cat server.log; fail "the server was not filled"; }

train_from_s3() { # NAME: with the keys of the environment
    "$BIN/train" --exp e --data s3://sets/my/data --results r --name "$1" >out 2>err
}
AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret train_from_s3 remote || fail "with keys: $(tail -n 2 err)"
cmp r/local/checkpoints/last.safetensors r/remote/checkpoints/last.safetensors || fail "other weights than the local folder's"
rm -rf cache
! AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=wrong train_from_s3 wrong || fail "trained with a wrong key"
says "refuses these keys"
