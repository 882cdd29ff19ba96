/** The requests that a log in Kinesis makes: of the stream, and of the table beside it. */

import type {
  DeleteItemCommandInput,
  DeleteItemCommandOutput,
  GetItemCommandInput,
  GetItemCommandOutput,
  PutItemCommandInput,
  PutItemCommandOutput,
  QueryCommandInput,
  QueryCommandOutput,
  UpdateItemCommandInput,
  UpdateItemCommandOutput,
} from '@aws-sdk/client-dynamodb'
import type {
  CreateStreamCommandInput,
  CreateStreamCommandOutput,
  DescribeStreamSummaryCommandInput,
  DescribeStreamSummaryCommandOutput,
  GetRecordsCommandInput,
  GetRecordsCommandOutput,
  GetShardIteratorCommandInput,
  GetShardIteratorCommandOutput,
  IncreaseStreamRetentionPeriodCommandInput,
  IncreaseStreamRetentionPeriodCommandOutput,
  ListShardsCommandInput,
  ListShardsCommandOutput,
  PutRecordsCommandInput,
  PutRecordsCommandOutput,
} from '@aws-sdk/client-kinesis'

interface StreamOperations {
  readonly CreateStream: [CreateStreamCommandInput, CreateStreamCommandOutput]
  readonly DescribeStreamSummary: [
    DescribeStreamSummaryCommandInput,
    DescribeStreamSummaryCommandOutput,
  ]
  readonly IncreaseStreamRetentionPeriod: [
    IncreaseStreamRetentionPeriodCommandInput,
    IncreaseStreamRetentionPeriodCommandOutput,
  ]
  readonly ListShards: [ListShardsCommandInput, ListShardsCommandOutput]
  readonly GetShardIterator: [GetShardIteratorCommandInput, GetShardIteratorCommandOutput]
  readonly GetRecords: [GetRecordsCommandInput, GetRecordsCommandOutput]
  readonly PutRecords: [PutRecordsCommandInput, PutRecordsCommandOutput]
}

interface TableOperations {
  readonly GetItem: [GetItemCommandInput, GetItemCommandOutput]
  readonly PutItem: [PutItemCommandInput, PutItemCommandOutput]
  readonly UpdateItem: [UpdateItemCommandInput, UpdateItemCommandOutput]
  readonly DeleteItem: [DeleteItemCommandInput, DeleteItemCommandOutput]
  readonly Query: [QueryCommandInput, QueryCommandOutput]
}

export type Operations = StreamOperations & TableOperations
export type KinesisOperation = keyof Operations

/** Sends one request once; an answer that does not come in time is given up. */
export type KinesisSend = <Name extends KinesisOperation>(
  name: Name,
  input: Operations[Name][0],
) => Promise<Operations[Name][1]>

/** The operations of the stream; the others are the table's. */
export const streamNames = {
  CreateStream: true,
  DescribeStreamSummary: true,
  IncreaseStreamRetentionPeriod: true,
  ListShards: true,
  GetShardIterator: true,
  GetRecords: true,
  PutRecords: true,
} as const satisfies Record<keyof StreamOperations, true>
